//! "Did you mean": the nearest of the right names.

/// The candidate closest to `name`, if one is close enough to be a likely slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let names = ["streams", "steps", "write", "cursor"];
        assert_eq!(nearest("stream", names), Some("streams"));
        assert_eq!(nearest("Wirte", names), Some("write"));
        assert_eq!(nearest("zzz", names), None);
    }
}
