//! Certificates for servers in tests, by an authority made on the spot.
//!
//! A certificate for the wrong host is one issued for another name; one of the wrong authority comes
//! from another [`Authority`].

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::home::Home;

/// A private authority. Its files live as long as it or any of its certificates.
pub struct Authority {
    home: Arc<Home>,
    issuer: Issuer<'static, KeyPair>,
    path: PathBuf,
    issued: AtomicU32,
}

/// The files of one certificate, all PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate itself.
    pub certificate: PathBuf,
    /// Its private key, for the owner only.
    pub key: PathBuf,
    /// The authority's certificate, which a client has to trust.
    pub authority: PathBuf,
    _home: Arc<Home>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificate").field(&self.certificate).finish()
    }
}

impl Authority {
    /// A new authority that nobody trusts yet.
    #[expect(clippy::new_without_default, reason = "making keys and files is no default")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let key = generate_key();
        let certificate = params.self_signed(&key).expect("an authority signs itself");
        let home = Home::new("certificates");
        let path = home.path().join("authority.crt");
        write(&path, &certificate.pem(), 0o644);
        Authority { home: Arc::new(home), issuer: Issuer::new(params, key), path, issued: AtomicU32::new(0) }
    }

    /// The file of its own certificate.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A certificate for these host names and addresses.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).expect("host names or addresses");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.use_authority_key_identifier_extension = true;
        let key = generate_key();
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs for others");
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let file = |ending: &str| self.home.path().join(format!("server-{number}.{ending}"));
        let issued = Certificate {
            certificate: file("crt"),
            key: file("key"),
            authority: self.path.clone(),
            _home: Arc::clone(&self.home),
        };
        write(&issued.certificate, &certificate.pem(), 0o644);
        write(&issued.key, &key.serialize_pem(), 0o600);
        issued
    }
}

fn generate_key() -> KeyPair {
    KeyPair::generate().expect("the machine has randomness")
}

fn write(path: &Path, text: &str, mode: u32) {
    let file = fs::File::options().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_for_its_owner_and_files_outlive_the_authority() {
        let certificate = Authority::new().issue(&["localhost", "127.0.0.1"]);
        let mode = fs::metadata(&certificate.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(fs::read_to_string(&certificate.certificate).unwrap().starts_with("-----BEGIN CERTIFICATE"));
        assert_ne!(
            fs::read(&certificate.authority).unwrap(),
            fs::read(Authority::new().path()).unwrap(),
            "each authority is its own"
        );
    }
}
