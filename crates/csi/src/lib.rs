//! CSI 1.13 messages and services whose Debug cannot leak a secret.
