//! Where joiners of Ogg streams start.

use super::*;

#[test]
fn a_moved_mount_says_where_ogg_joiners_start_as_if_it_had_not_moved() {
    let ogg = ogg_stream();
    let start = RunStart {
        format: Format::Ogg,
        ..run(1, 0)
    };
    let stays = Mount::new("/live", quick());
    stays.begin(start.clone());
    stays.append(&ogg, Some(0));
    stays.flush();
    for cut in (0..ogg.len()).step_by(401) {
        let before = Mount::new("/live", quick());
        before.begin(start.clone());
        before.append(&ogg[..cut], Some(0));
        let after = Mount::new("/live", quick());
        after.restore(before.export()).unwrap();
        after.append(&ogg[cut..], Some(0));
        after.flush();
        let told = |timeline: &Timeline| {
            let run = timeline.runs().next_back().unwrap();
            (run.syncs.clone(), run.preludes.clone(), run.window)
        };
        assert_eq!(after.with(told), stays.with(told), "cut at {cut}");
    }
}

/// Two chains of Opus-like pages.
fn ogg_stream() -> Vec<u8> {
    let mut out = Vec::new();
    for serial in [7_u32, 8] {
        out.extend(page(serial, 0, 2, 0, b"OpusHead stereo"));
        out.extend(page(serial, 1, 0, 0, b"OpusTags and so on"));
        for n in 0..6 {
            out.extend(page(
                serial,
                n + 2,
                0,
                u64::from(n + 1) * 960,
                &[n as u8; 1500],
            ));
        }
    }
    out
}

fn page(serial: u32, sequence: u32, flags: u8, granule: u64, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&granule.to_le_bytes());
    page.extend_from_slice(&serial.to_le_bytes());
    page.extend_from_slice(&sequence.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    let lacing = packet.len() / 255 + 1;
    page.push(lacing as u8);
    page.extend(std::iter::repeat_n(255, lacing - 1));
    page.push((packet.len() % 255) as u8);
    page.extend_from_slice(packet);
    let crc = page.iter().fold(0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}
