//! Benchmarks of Tokenward beside its peers and floors.
