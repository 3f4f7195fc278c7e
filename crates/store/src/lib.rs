//! A revisioned key space with watch.
