//! The claims of a token whose signature is good: a function of values.

use jiff::{SignedDuration, Timestamp};
use tokenward_jose::Claims;

use super::VerifyError;

/// Checks audience and times. A token without an end is not taken.
pub(super) fn check(
    claims: &Claims,
    audiences: &[String],
    leeway: SignedDuration,
    now: Timestamp,
) -> Result<(), VerifyError> {
    if !audiences.iter().any(|audience| claims.aud.contains(audience)) {
        return Err(VerifyError::Audience);
    }
    let now = i128::from(now.as_second());
    let leeway = i128::from(leeway.as_secs());
    if claims.exp.is_none_or(|end| now - leeway >= i128::from(end)) {
        return Err(VerifyError::Expired);
    }
    let is_early = |start: i64| now + leeway < i128::from(start);
    if claims.nbf.is_some_and(is_early) || claims.iat.is_some_and(is_early) {
        return Err(VerifyError::NotYet);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audience_and_times() {
        let now = Timestamp::from_second(1000).unwrap();
        let good = || Claims {
            aud: ["vault", "sts"].into_iter().collect(),
            exp: Some(1000),
            nbf: Some(1000),
            iat: Some(1000),
            ..Claims::default()
        };
        let check = |claims: &Claims, audience: &str| {
            check(claims, &["other".to_owned(), audience.to_owned()], SignedDuration::from_secs(60), now)
                .map_err(|error| error.to_string())
        };
        let with = |change: fn(&mut Claims)| {
            let mut claims = good();
            change(&mut claims);
            check(&claims, "sts")
        };
        let expired = || Err(VerifyError::Expired.to_string());
        let early = || Err(VerifyError::NotYet.to_string());
        assert_eq!(check(&good(), "sts"), Ok(()));
        assert_eq!(check(&good(), "st"), Err(VerifyError::Audience.to_string()));
        assert_eq!(check(&good(), ""), Err(VerifyError::Audience.to_string()));
        assert_eq!(with(|claims| claims.exp = Some(941)), Ok(()));
        assert_eq!(with(|claims| claims.exp = Some(940)), expired());
        assert_eq!(with(|claims| claims.exp = None), expired());
        assert_eq!(with(|claims| claims.exp = Some(i64::MIN)), expired());
        assert_eq!(with(|claims| claims.nbf = Some(1060)), Ok(()));
        assert_eq!(with(|claims| claims.nbf = Some(1061)), early());
        assert_eq!(with(|claims| claims.iat = Some(i64::MAX)), early());
        assert_eq!(with(|claims| claims.iat = None), Ok(()));
    }
}
