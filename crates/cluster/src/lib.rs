//! Control plane, controllers, nodes and drivers assembled in one process.
//!
//! The one invariant: **a run leaves nothing behind**. What it makes on the machine lies below one
//! [`root_directory::RootDirectory`], and goes with it: sockets, mounts, volumes, credentials.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::path::Path;
//! use tokenward_cluster::{drivers, manifest};
//!
//! let text = "
//! apiVersion: storage.k8s.io/v1
//! kind: CSIDriver
//! metadata: {name: files.example.com}
//! ---
//! apiVersion: v1
//! kind: Namespace
//! metadata: {name: shop}
//! ";
//! let manifests = manifest::in_apply_order(manifest::parse(Path::new("shop.yaml"), text)?)?;
//! assert_eq!(manifests[0].label(), "namespace shop");
//!
//! // Every applied CSIDriver is served, unless a driver of that name listens elsewhere already.
//! let endpoints = BTreeMap::new();
//! let names = manifests.iter().filter(|manifest| manifest.kind.kind == "CSIDriver").map(|manifest| manifest.name.as_str());
//! assert_eq!(drivers::plan(names, &endpoints)[0].server, drivers::DriverServer::TokenFiles);
//! # Ok::<(), tokenward_cluster::manifest::ManifestError>(())
//! ```
//!
//! [`Cluster`] is the whole; [`control_plane`] the part that serves the API. [`pki`] and [`kubeconfig`] make the credentials,
//! [`serving`] takes those that are there already, [`client`] finds the way to any other cluster, [`manifest`] reads what is
//! applied, [`delivery`] says what was mounted and what is still missing, and why.

pub mod apply;
pub mod client;
mod cluster;
pub mod control_plane;
mod controllers_api;
pub mod delivery;
pub mod drivers;
pub mod followed_files;
pub mod kept_keys;
pub mod key_files;
pub mod kubeconfig;
pub mod manifest;
pub mod node_access;
pub mod node_server;
pub mod pki;
pub mod root_directory;
pub mod serving;

pub use cluster::{Cluster, ClusterConfig, Happening, StartError, StopError};
pub use tokenward_node::Observation;
