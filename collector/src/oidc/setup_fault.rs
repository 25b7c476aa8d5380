//! Why the files that the settings of the provider name cannot be used.

/// The longest secret of a client, in bytes.
pub(super) const SECRET: u64 = 4_096;

/// Why the settings of the provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupFault {
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(SecretFault),
    /// The CA cannot be read.
    #[error("cannot read oidc.ca {path}; let the collector's user read it")]
    ReadCa {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has no certificate.
    #[error("oidc.ca {path} has no valid PEM certificate; name a file with the CA")]
    Ca {
        /// The file.
        path: String,
    },
    /// The public address is no address.
    #[error("operators.public_url is not a URL; write https://HOST or https://HOST:PORT")]
    Origin,
    /// TLS cannot be set up.
    #[error("set up TLS to the identity provider: {0}; name its CA in oidc.ca if the system has no certificates")]
    Client(String),
}

/// Why the secret of the client cannot be used. The error never has the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// The file cannot be read.
    #[error("cannot read oidc.client_secret_file {path}; let the collector's user read it")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is empty or has too much.
    #[error(
        "oidc.client_secret_file {path} is empty or longer than {SECRET} bytes; write only the client secret into it"
    )]
    Form {
        /// The file.
        path: String,
    },
}
