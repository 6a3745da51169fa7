//! A player behind a wire of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use icecast_ext_tests::cutter::{Cut, Cutter, Manners, Passage, Plan};
use icecast_ext_tests::player::Player;
use icecast_ext_tests::player::page::Page;
use icecast_ext_tests::player::wire::{reached, stitch};
use icecast_ext_tests::truth::{find, first_difference};

use crate::case::{Case, browsers, writers};

/// Bytes a second.
pub(crate) const RATE: u64 = 16_000;
/// The proxy is back before, and as a service manager would, the wire keeps its port open.
const PATIENCE: Duration = Duration::from_secs(15);
const KEEP: usize = 8 << 20;

/// A browser with an element for each level.
pub(crate) struct Tabs {
    page: Page,
    browser: std::sync::Mutex<Player>,
}

impl Tabs {
    fn runs(&self) -> bool {
        self.browser.lock().expect("no panic while held").runs()
    }
}

/// Who hears.
enum Ears {
    File(Player),
    Element(Arc<Tabs>, usize),
}

/// A player at work.
pub(crate) struct Trial {
    pub(crate) case: Case,
    wire: Cutter,
    ears: Ears,
    due: usize,
    besides: &'static str,
    /// Bytes of the stream that it must get to, once that is known.
    goal: u64,
    gave_up: bool,
    passages: Vec<Passage>,
}

/// What has become of it.
pub(crate) struct Line {
    pub(crate) case: Case,
    pub(crate) version: String,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) besides: &'static str,
    pub(crate) outcome: String,
    /// What the outcome does not say.
    pub(crate) details: String,
}

pub(crate) const EXACT: &str = "exact";
pub(crate) const TITLES: &str = "exact, titles right";
pub(crate) const ON: &str = "plays on";

/// What the wires of a test are like.
pub(crate) struct Wiring<'a> {
    pub(crate) to: SocketAddr,
    pub(crate) planner: &'a mut dyn FnMut(Case) -> Planner,
    /// Cuts that each must have seen in the end.
    pub(crate) due: usize,
    /// What else ends their connections, once.
    pub(crate) besides: &'static str,
}

pub(crate) type Planner = Box<dyn FnMut(usize, usize) -> Option<Plan> + Send>;

impl Wiring<'_> {
    /// A wire, and what a player behind it is told to play.
    async fn lay(&mut self, case: Case) -> (Cutter, String) {
        let planner = (self.planner)(case);
        let wire = Cutter::counted(&[self.to], planner).await.expect("a wire");
        wire.behave(Manners {
            patience: PATIENCE,
            keep: KEEP,
            settle: true,
        });
        let url = format!("http://{}{}", wire.front(0), case.level.mount());
        (wire, url)
    }
}

impl Trial {
    /// Everybody who is there.
    pub(crate) async fn all(mut wiring: Wiring<'_>) -> Vec<Self> {
        let mut trials = Vec::new();
        for cases in browsers() {
            if !cases[0].family.missing() {
                trials.extend(Self::browser(cases, &mut wiring).await);
            }
        }
        for case in writers() {
            if !case.family.missing() {
                trials.push(Self::writer(case, &mut wiring).await);
            }
        }
        trials
    }

    async fn writer(case: Case, wiring: &mut Wiring<'_>) -> Self {
        let (wire, url) = wiring.lay(case).await;
        let player = Player::start(case.family, &url, case.icy).expect(case.family.name);
        Self::new(case, wire, Ears::File(player), wiring)
    }

    /// A browser that plays all these at once.
    async fn browser(cases: [Case; 2], wiring: &mut Wiring<'_>) -> Vec<Self> {
        let family = cases[0].family;
        let mut wires = Vec::new();
        let mut urls = Vec::new();
        for case in cases {
            let (wire, url) = wiring.lay(case).await;
            wires.push((case, wire));
            urls.push(url);
        }
        let page = Page::with(&urls).await.expect("a page");
        let browser = Player::start(family, &page.url(), false).expect(family.name);
        let tabs = Arc::new(Tabs {
            page,
            browser: browser.into(),
        });
        let trials = wires.into_iter().enumerate().map(|(i, (case, wire))| {
            Self::new(case, wire, Ears::Element(Arc::clone(&tabs), i), wiring)
        });
        trials.collect()
    }

    fn new(case: Case, wire: Cutter, ears: Ears, wiring: &Wiring<'_>) -> Self {
        Self {
            case,
            wire,
            ears,
            due: wiring.due,
            besides: wiring.besides,
            goal: 0,
            gave_up: false,
            passages: Vec::new(),
        }
    }

    /// How often its wire was cut.
    pub(crate) fn cuts(&self) -> usize {
        self.wire.cuts().len()
    }

    /// Bytes that it has been sent.
    pub(crate) fn reached(&self) -> u64 {
        reached(&self.wire.passages())
    }

    /// Connections that began after the first byte.
    pub(crate) fn resumes(&self) -> usize {
        stitch(&self.wire.passages()).resumes
    }

    /// Leads it elsewhere when it comes again.
    pub(crate) fn lead(&self, to: SocketAddr) {
        self.wire.lead(0, to);
    }

    /// Whether it has given up.
    pub(crate) fn ended(&mut self) -> bool {
        match &mut self.ears {
            Ears::File(player) => !player.runs(),
            Ears::Element(tabs, i) => !tabs.runs() || !complaints(&tabs.page, *i).is_empty(),
        }
    }

    /// It has to get two seconds further than it has been sent by now.
    pub(crate) fn set_goal(&mut self) {
        self.goal = self.reached() + 2 * RATE;
    }

    /// Whether it has.
    pub(crate) fn is_there(&self) -> bool {
        let at = match &self.ears {
            Ears::File(player) => player.len(),
            Ears::Element(tabs, i) => (tabs.page.time(*i) * RATE as f64) as u64,
        };
        at >= self.goal
    }

    /// What it says of itself, for who looks for the reason of a failure.
    fn output(&self) -> String {
        match &self.ears {
            Ears::File(player) => player.output(),
            Ears::Element(tabs, i) => {
                let told = tabs.page.told(*i);
                told.iter().map(|told| format!("{told:?}\n")).collect()
            }
        }
    }

    /// Notes how it is, before anybody is stopped: a browser is several of them.
    pub(crate) fn look(&mut self) {
        self.gave_up = self.ended();
        self.passages = self.wire.passages();
    }

    /// Ends it: what it has heard until now is what counts.
    pub(crate) fn stop(&mut self) {
        match &mut self.ears {
            Ears::File(player) => player.stop(),
            Ears::Element(tabs, _) => tabs.browser.lock().expect("no panic while held").stop(),
        }
    }

    /// Compares what it has heard with what was sent, once it has been stopped.
    pub(crate) fn judge(self, truth: &[u8]) -> Line {
        let there = self.is_there();
        let cuts = self.wire.cuts();
        let passages = &self.passages;
        let wrong = match &self.ears {
            _ if self.gave_up => Some(format!("stops after {} cuts", cuts.len())),
            _ if cuts.len() < self.due => Some(format!("stuck after {} cuts", cuts.len())),
            _ if !there => Some("stuck after the last cut".to_owned()),
            Ears::File(player) => {
                wrong_file(truth, &player.heard(), self.case.icy, &player.titles())
            }
            Ears::Element(tabs, i) => wrong_times(&tabs.page, *i),
        };
        // With titles the wire carries more than the stream.
        let wrong = wrong.or_else(|| {
            let stitched = stitch(passages);
            let faults = [stitched.astray, stitched.faults].concat();
            let sound = self.case.icy || find(truth, &stitched.bytes).is_some();
            (!sound || !faults.is_empty()).then(|| format!("wrong on the wire: {faults:?}"))
        });
        let right = match &self.ears {
            Ears::Element(..) => ON,
            Ears::File(_) if self.case.icy => TITLES,
            Ears::File(_) => EXACT,
        };
        let mut details = String::new();
        if wrong.is_some() {
            for passage in passages {
                details.push_str(&format!(
                    "{} → {}\n{} bytes of body, {} not taken, {:?}\n\n",
                    passage.request.trim_end(),
                    passage.answer.trim_end(),
                    passage.body,
                    passage.unsent,
                    passage.ending
                ));
            }
            details.push_str(&tail(&self.output()));
        }
        Line {
            case: self.case,
            version: self.case.family.version(),
            cuts,
            besides: self.besides,
            outcome: wrong.unwrap_or_else(|| right.to_owned()),
            details,
        }
    }
}

fn wrong_file(truth: &[u8], heard: &[u8], icy: bool, titles: &[String]) -> Option<String> {
    if find(truth, heard).is_none() {
        let start = find(truth, &heard[..heard.len().min(256)]);
        let same = start.map(|start| first_difference(&truth[start..], heard));
        return Some(match same {
            Some(same) => format!("wrong after {same} of {} bytes", heard.len()),
            None => format!("{} bytes that were not sent", heard.len()),
        });
    }
    if !icy {
        return None;
    }
    let numbers: Vec<u32> = titles
        .iter()
        .filter_map(|title| title.strip_prefix("Title ")?.parse().ok())
        .collect();
    let right = numbers.len() == titles.len()
        && numbers.len() > 2
        && numbers.windows(2).all(|two| two[0] + 1 == two[1]);
    (!right).then(|| format!("titles: {titles:?}"))
}

/// Nothing is played twice, and no event says that anything was wrong.
fn wrong_times(page: &Page, element: usize) -> Option<String> {
    let told = page.told(element);
    let back = told.windows(2).find(|two| two[1].time < two[0].time);
    back.map(|two| format!("plays backwards: {two:?}"))
}

fn complaints(page: &Page, element: usize) -> Vec<String> {
    let told = page.told(element).into_iter();
    let bad = told.filter(|told| ["error", "ended", "refused"].contains(&told.event.as_str()));
    bad.map(|told| format!("{told:?}")).collect()
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
