//! Control plane, controllers, nodes and drivers assembled in one process.
