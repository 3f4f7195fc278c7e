//! What the recorded server has that is not served here: the one thing in which its answers are not held against ours.

/// The subresources that discovery does not list, since they are not served: what they do needs containers that run.
pub(crate) const SUBRESOURCES: [(&str, &str); 7] = [
    ("pods", "attach"),
    ("pods", "ephemeralcontainers"),
    ("pods", "exec"),
    ("pods", "log"),
    ("pods", "portforward"),
    ("pods", "proxy"),
    ("pods", "resize"),
];
