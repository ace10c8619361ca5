//! Whom a connection trusts, and as whom it shows itself.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use syncline_types::{Error, Result, codes};

use crate::Tls;

/// Files with certificates and keys, each PEM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Certificates<'a> {
    /// The authorities to trust, in place of the system's.
    pub ca: Option<&'a Path>,
    /// The client's own certificate.
    pub cert: Option<&'a Path>,
    /// The key of the client's own certificate.
    pub key: Option<&'a Path>,
}

/// How to encrypt a connection to `place` (host and port, for messages).
///
/// # Errors
/// When a file cannot be read or has nothing in it that is needed, when the system has no
/// authorities, or when only one of certificate and key is given.
pub fn client_config(tls: Tls, files: &Certificates<'_>, place: &str) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let failed = |reason: &dyn std::fmt::Display| {
        Error::new(&codes::TLS_FAILED, "set up encryption to", place).because(reason)
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let builder = match tls {
        Tls::Verify => builder.with_root_certificates(roots(files.ca)?),
        Tls::VerifyCa => {
            let roots = Arc::new(roots(files.ca)?);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| failed(&error))?;
            let lenient = Lenient { provider, chain: Some(chain) };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient))
        }
        Tls::Require | Tls::Disable => {
            let lenient = Lenient { provider, chain: None };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient))
        }
    };
    match (files.cert, files.key) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(read(cert)?, private_key(key)?).map_err(|error| failed(&error))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(Error::new(&codes::BAD_VALUE, "use a client certificate for", place)
            .because("only one of tls_cert and tls_key is given")
            .hint("Give both")),
    }
}

/// The authorities to trust: those of a file, or the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in read(file)? {
            roots.add(certificate).map_err(|error| unusable(file, &error))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Error::new(&codes::TLS_FAILED, "find", "the system's certificate authorities")
            .because("there are none that can be read")
            .hint("Install ca-certificates, or name a file with tls_ca=FILE"));
    }
    Ok(roots)
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let mut reader = BufReader::new(File::open(file).map_err(|error| unusable(file, &error))?);
    let all: Vec<_> = CertificateDer::pem_reader_iter(&mut reader)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unusable(file, &error))?;
    if all.is_empty() {
        return Err(unusable(file, &"there is no certificate in it"));
    }
    Ok(all)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::TLS_FAILED, "read certificates from", file.display())
        .because(reason)
        .hint("Name a PEM file that can be read")
}

/// Checks less than it could, because the user has said so: the chain but not the host name, or
/// nothing at all. Signatures are always checked.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
