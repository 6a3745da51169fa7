//! What goes wrong meanwhile: relays are killed, links are cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::How;
use tokio::task::JoinHandle;

use crate::Course;
use crate::field::Field;

/// How often each server is killed, out of their sum: a minter without a journal needs half a minute to prove anything again.
const SHARES: [u64; 4] = [2, 4, 1, 4];

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Of each server.
    pub(crate) kills: [u64; 4],
    /// Links that were cut.
    pub(crate) cuts: u64,
    /// Links on which nothing came any more.
    pub(crate) holes: u64,
}

/// It works until the course is over.
pub(crate) struct Driver(JoinHandle<(Field, Faults)>);

impl Driver {
    pub(crate) fn start(field: Field, chance: Chance, course: Arc<Course>) -> Self {
        Self(tokio::spawn(drive(field, chance, course)))
    }

    /// Waits for everything to be mended.
    pub(crate) async fn finish(self) -> (Field, Faults) {
        self.0.await.unwrap()
    }
}

async fn drive(mut field: Field, mut chance: Chance, course: Arc<Course>) -> (Field, Faults) {
    let mut faults = Faults::default();
    while !course.over.load(Ordering::SeqCst) {
        let pause = Duration::from_millis(chance.range(500, 2500));
        tokio::time::sleep(pause).await;
        let for_so_long = Duration::from_millis(chance.range(50, 2000));
        if chance.one_in(3) {
            let mut draw = chance.range(0, SHARES.iter().sum());
            let one = SHARES.iter().position(|share| {
                let found = draw < *share;
                draw = draw.saturating_sub(*share);
                found
            });
            let one = one.unwrap();
            faults.kills[one] += 1;
            field.proxies[one].kill();
            tokio::time::sleep(for_so_long).await;
            field.proxies[one].restart().await.unwrap();
        } else {
            let link = &field.links[chance.range(0, field.links.len() as u64) as usize];
            if chance.one_in(4) {
                faults.holes += 1;
                link.blackhole();
                tokio::time::sleep(for_so_long).await;
                link.mend();
                link.cut_now(How::Reset);
            } else {
                faults.cuts += 1;
                let how = if chance.one_in(2) {
                    How::Reset
                } else {
                    How::Fin
                };
                link.cut_for(how, for_so_long).await;
            }
        }
    }
    (field, faults)
}
