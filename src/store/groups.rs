//! stub
use super::StoreError;
use super::sql::Tx;
/// stub
pub async fn ids_of(_: &mut dyn Tx, _: u64) -> Result<Vec<u64>, StoreError> {
    Ok(vec![])
}
