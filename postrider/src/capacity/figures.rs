//! Numbers as people read them.

/// With commas between thousands; with a digit behind the point below ten.
pub(super) fn number(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.0 {
        return if value < 0.1 { small(value) } else { format!("{value:.1}") };
    }
    let digits = format!("{value:.0}");
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}

/// In the unit that leaves one to four digits.
pub(super) fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut left = value;
    let mut unit = 0;
    while left >= 1024.0 && unit + 1 < units.len() {
        left /= 1024.0;
        unit += 1;
    }
    format!("{} {}", number(left), units[unit])
}

/// Bytes a second, as networks are sold.
pub(super) fn bits(bytes_per_second: f64) -> String {
    let gbit = bytes_per_second * 8.0 / 1e9;
    if gbit >= 1.0 { format!("{} Gbit/s", number(gbit)) } else { format!("{} Mbit/s", number(gbit * 1000.0)) }
}

/// As one would say it.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if !seconds.is_finite() => "never".to_owned(),
        seconds if seconds < 1.0 => format!("{} ms", number(seconds * 1000.0)),
        seconds if seconds < 600.0 => format!("{} s", number(seconds)),
        seconds if seconds < 3600.0 * 3.0 => format!("{} min", number(seconds / 60.0)),
        seconds => format!("{} h", number(seconds / 3600.0)),
    }
}

/// To the first digit that is none.
fn small(value: f64) -> String {
    let digits = (-value.log10()).ceil().clamp(0.0, 9.0) as usize;
    format!("{value:.digits$}")
}
