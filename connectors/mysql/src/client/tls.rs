//! How a connection is encrypted, and whom it trusts.

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

use crate::config::{MysqlConfig, Tls};

pub(super) fn tls_config(config: &MysqlConfig, tls: Tls) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let failed = |error: rustls::Error| {
        Error::new(&codes::TLS_FAILED, "set up encryption to", config.place()).because(error)
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match tls {
        Tls::Verify => builder.with_root_certificates(roots(config)?),
        Tls::VerifyCa | Tls::Require | Tls::Disable => {
            let chain = match tls {
                Tls::VerifyCa => Some(
                    WebPkiServerVerifier::builder_with_provider(
                        Arc::new(roots(config)?),
                        Arc::clone(&provider),
                    )
                    .build()
                    .map_err(|error| {
                        Error::new(&codes::TLS_FAILED, "set up encryption to", config.place()).because(error)
                    })?,
                ),
                _ => None,
            };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, chain }))
        }
    };
    let (cert, key) = (first(&config.tls_cert, &config.ssl_cert), first(&config.tls_key, &config.ssl_key));
    match (cert, key) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(failed)
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(Error::new(&codes::BAD_VALUE, "use a client certificate for", config.place())
            .because("only one of tls_cert and tls_key is given")
            .hint("Give both")),
    }
}

fn first<'a>(
    ours: &'a Option<std::path::PathBuf>,
    driver: &'a Option<std::path::PathBuf>,
) -> Option<&'a Path> {
    ours.as_deref().or(driver.as_deref())
}

/// The authorities to trust: those of a file, or the system's.
fn roots(config: &MysqlConfig) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = first(&config.tls_ca, &config.ssl_ca) {
        for certificate in certificates(file)? {
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

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
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
