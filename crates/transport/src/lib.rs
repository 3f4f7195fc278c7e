//! gRPC over Unix sockets, client and server, and the kubelet plugin registration service.
