//! Durations (`"15m"`) and sizes (`"64KiB"`) as the operator writes them. Pure.

use std::time::Duration;

use thiserror::Error;

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Why a duration or a size cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Not a number followed by a unit.
    #[error("not a number with a unit")]
    Form,
    /// A number without a unit: seconds or minutes? bytes or kibibytes?
    #[error("a unit is missing")]
    NoUnit,
    /// More than fits.
    #[error("too large")]
    TooLarge,
}

/// Reads `"500ms"`, `"20s"`, `"15m"`, `"1h30m"`, `"7d"`.
///
/// # Errors
/// [`UnitError`]: nothing, a sign, a fraction, a bare number, an unknown unit, or more milliseconds than fit.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    read(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads `"512B"`, `"64KiB"`, `"1MiB"`, `"2GiB"`: bytes, and powers of 1024.
///
/// # Errors
/// [`UnitError`], as for [`duration`].
pub fn size(text: &str) -> Result<u64, UnitError> {
    read(text, &SIZE_UNITS)
}

/// Writes a duration the way it is read: `1h30m`.
pub fn write_duration(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let units = DURATION_UNITS.iter().rev().map(|(unit, millis)| {
        let number = left / millis;
        left %= millis;
        if number == 0 { String::new() } else { format!("{number}{unit}") }
    });
    units.collect()
}

/// Writes a size the way it is read, with the largest unit that divides it.
pub fn write_size(bytes: u64) -> String {
    let whole = SIZE_UNITS.iter().rev().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Sums up number-unit pairs.
fn read(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let mut rest = text;
    let mut sum: u64 = 0;
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, next) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        if number.is_empty() {
            return Err(UnitError::Form);
        }
        if unit.is_empty() {
            return Err(UnitError::NoUnit);
        }
        let factor = units.iter().find(|(name, _)| *name == unit).ok_or(UnitError::Form)?.1;
        let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
        let part = number.checked_mul(factor).ok_or(UnitError::TooLarge)?;
        sum = sum.checked_add(part).ok_or(UnitError::TooLarge)?;
        if next.is_empty() {
            return Ok(sum);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("20s", 20_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_bare_number_a_fraction_and_a_foreign_unit_are_refused() {
        assert_eq!(duration("15"), Err(UnitError::NoUnit));
        assert_eq!(size("64"), Err(UnitError::NoUnit));
        for text in ["", "m", "-1s", "1.5s", "15 m", "15min", "15M", "64KB", "٣s"] {
            assert_eq!(duration(text), Err(UnitError::Form), "{text}");
        }
        for text in ["64KB", "64kib", "64K"] {
            assert_eq!(size(text), Err(UnitError::Form), "{text}");
        }
        assert_eq!(duration("99999999999999999999s"), Err(UnitError::TooLarge));
        assert_eq!(duration("18446744073709551615s"), Err(UnitError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in 0..u64::from(u32::MAX) * 4, bytes in 1..u64::MAX) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(duration(&write_duration(span)), Ok(span));
            prop_assert_eq!(size(&write_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,20}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
