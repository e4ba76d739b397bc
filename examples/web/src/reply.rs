//! What a request is answered with, and what of an error is whose fault.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kithdb::Error;
use serde::Serialize;

/// An answer, or why there is none.
pub type Reply<T> = Result<Json<T>, Failure>;

/// Why there is no answer.
pub struct Failure(StatusCode, String);

#[derive(Serialize)]
struct Told {
    error: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::InvalidArgument { .. } | Error::WrongIdKind { .. } | Error::Filter(_) => StatusCode::BAD_REQUEST,
            Error::UnknownUser { .. } | Error::UnknownItem { .. } | Error::UnknownBasket { .. } => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(Told { error: self.1 })).into_response()
    }
}

/// Does what takes processor time or waits for the disk where it holds nobody up.
pub async fn blocking<T, W>(work: W) -> Reply<T>
where
    T: Send + 'static,
    W: FnOnce() -> kithdb::Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(Json(done?)),
        Err(stopped) => Err(Failure(StatusCode::INTERNAL_SERVER_ERROR, stopped.to_string())),
    }
}
