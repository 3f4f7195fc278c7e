//! The kubeconfig of a cluster: one cluster, one user, one context, every credential embedded.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::pki::{Authority, Identity};

/// The first line of a file written here: by it a later run knows that it may replace the file.
const MARK: &str = "# Written by tokenward, and replaced each time.\n";

/// A server as clients see it: where it is, and how they know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `https://ADDRESS:PORT`.
    pub url: String,
    /// The certificates to believe, in PEM.
    pub authorities_pem: String,
    /// The name in the server's certificate, where it is another than the URL's.
    pub tls_server_name: Option<String>,
}

/// A kubeconfig as kubectl and kube-rs read it. It holds a private key: neither `Debug` nor `Display`.
///
/// ```
/// use tokenward_cluster::{kubeconfig::Kubeconfig, pki::Authority};
///
/// let now = "2026-01-01T00:00:00Z".parse()?;
/// let authority = Authority::generate(now)?;
/// let kubeconfig = Kubeconfig::new("https://127.0.0.1:6443", &authority, "admin", &authority.admin(now)?);
/// let directory = tempfile::tempdir()?;
/// kubeconfig.write(&directory.path().join("kubeconfig"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Kubeconfig {
    yaml: Zeroizing<String>,
}

impl Kubeconfig {
    /// The kubeconfig for `user`, who shows `identity` to the server at `server` (`https://ADDRESS:PORT`).
    #[must_use]
    pub fn new(server: &str, authority: &Authority, user: &str, identity: &Identity) -> Self {
        let server = Server {
            url: server.to_owned(),
            authorities_pem: authority.certificate_pem(),
            tls_server_name: None,
        };
        Self::for_server(&server, user, identity)
    }

    /// The kubeconfig for `user`, who shows `identity` to this server.
    #[must_use]
    pub fn for_server(server: &Server, user: &str, identity: &Identity) -> Self {
        let key = Zeroizing::new(STANDARD.encode(identity.expose_key_pem().as_bytes()));
        let document = Document {
            api_version: "v1",
            kind: "Config",
            clusters: [NamedCluster {
                name: "tokenward",
                cluster: Cluster {
                    server: &server.url,
                    certificate_authority_data: STANDARD.encode(&server.authorities_pem),
                    tls_server_name: server.tls_server_name.as_deref(),
                },
            }],
            users: [NamedUser {
                name: user,
                user: User {
                    client_certificate_data: STANDARD.encode(identity.certificate_pem()),
                    client_key_data: &key,
                },
            }],
            contexts: [NamedContext { name: "tokenward", context: Context { cluster: "tokenward", user } }],
            current_context: "tokenward",
        };
        let body = serde_saphyr::to_string(&document).expect("strings under constant keys are YAML");
        let body = Zeroizing::new(body);
        let mut yaml = Zeroizing::new(String::with_capacity(MARK.len() + body.len()));
        yaml.push_str(MARK);
        yaml.push_str(&body);
        Self { yaml }
    }

    /// The file's text, the private key included.
    #[must_use]
    pub fn expose_yaml(&self) -> &str {
        &self.yaml
    }

    /// Writes the file for its owner alone (0600), at once or not at all.
    ///
    /// An earlier file is replaced when it was written here or is empty. A link is never followed and never replaced.
    ///
    /// # Errors
    /// When the directory is missing, something else stands at `path`, or the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), KubeconfigError> {
        let failed = |source| KubeconfigError::Write { path: path.to_owned(), source };
        let directory = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(KubeconfigError::Occupied { path: path.to_owned(), found: "a directory" }),
        };
        match std::fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(KubeconfigError::NoDirectory { directory: directory.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(KubeconfigError::NoDirectory { directory: directory.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        }
        if let Some(found) = what_stands_in_the_way(path).map_err(failed)? {
            return Err(KubeconfigError::Occupied { path: path.to_owned(), found });
        }
        // tempfile creates 0600, and the rename replaces the name itself, whatever it has become meanwhile.
        let mut file =
            tempfile::Builder::new().prefix(".kubeconfig-").tempfile_in(directory).map_err(failed)?;
        file.write_all(self.yaml.as_bytes()).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Why a kubeconfig was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// The directory that should hold the file does not exist.
    #[error("`{}` is not a directory; create it, or name another place for the kubeconfig", .directory.display())]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// Something that must not be replaced stands at the path.
    #[error("`{}` is {found}; name another file for the kubeconfig, or move that away", .path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// The file system refused.
    #[error("could not write the kubeconfig `{}`", .path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// The file system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// What must not be overwritten. A kubeconfig of the user's own often holds the only credentials of other clusters.
fn what_stands_in_the_way(path: &Path) -> std::io::Result<Option<&'static str>> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if kind.is_symlink() {
        return Ok(Some("a symbolic link"));
    }
    if kind.is_dir() {
        return Ok(Some("a directory"));
    }
    if !kind.is_file() {
        return Ok(Some("not a regular file"));
    }
    let mut head = Zeroizing::new(Vec::new());
    std::fs::File::open(path)?.take(MARK.len() as u64).read_to_end(&mut head)?;
    let ours = head.is_empty() || head.as_slice() == MARK.as_bytes();
    Ok((!ours).then_some("a file that tokenward did not write"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'a str,
    kind: &'a str,
    clusters: [NamedCluster<'a>; 1],
    users: [NamedUser<'a>; 1],
    contexts: [NamedContext<'a>; 1],
    #[serde(rename = "current-context")]
    current_context: &'a str,
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    certificate_authority_data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: User<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct User<'a> {
    client_certificate_data: String,
    client_key_data: &'a str,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn kubeconfig() -> Kubeconfig {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let authority = Authority::generate(now).unwrap();
        let admin = authority.admin(now).unwrap();
        Kubeconfig::new("https://127.0.0.1:6443", &authority, "kubernetes-admin", &admin)
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_may_be_replaced_by_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        kubeconfig().write(&path).unwrap();
        let second = kubeconfig();
        second.write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), second.expose_yaml());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["kubeconfig"]);
    }

    #[test]
    fn what_others_wrote_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("other"), "apiVersion: v1\nkind: Config\n").unwrap();
        fs::write(at("target"), "").unwrap();
        symlink(at("target"), at("link")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        for (name, found) in [
            ("other", "a file that tokenward did not write"),
            ("link", "a symbolic link"),
            ("directory", "a directory"),
        ] {
            match kubeconfig().write(&at(name)) {
                Err(KubeconfigError::Occupied { found: actual, .. }) => assert_eq!(actual, found),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(fs::read_to_string(at("other")).unwrap(), "apiVersion: v1\nkind: Config\n");
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "");
    }

    #[test]
    fn an_empty_file_may_be_filled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        fs::write(&path, "").unwrap();
        kubeconfig().write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no/such");
        let error = kubeconfig().write(&missing.join("kubeconfig")).unwrap_err();
        let text = format!(
            "`{}` is not a directory; create it, or name another place for the kubeconfig",
            missing.display()
        );
        assert_eq!(error.to_string(), text);
    }
}
