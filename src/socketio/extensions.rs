//! What the program keeps with a socket: one value of each type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Values by type. Costs nothing until the first is put in.
#[derive(Default)]
pub struct Extensions(OnceLock<Box<RwLock<Values>>>);

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

impl Extensions {
    /// Puts a value in, in place of the former one of its type.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        let values = self.0.get_or_init(Box::default);
        values.write().unwrap_or_else(PoisonError::into_inner).insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.0.get()?.read().unwrap_or_else(PoisonError::into_inner);
        values.get(&TypeId::of::<T>()).cloned()?.downcast().ok()
    }

    /// Takes the value of this type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut values = self.0.get()?.write().unwrap_or_else(PoisonError::into_inner);
        values.remove(&TypeId::of::<T>())?.downcast().ok()
    }
}

/// The same values, in a place of their own.
impl Clone for Extensions {
    fn clone(&self) -> Self {
        let Some(values) = self.0.get() else { return Self::default() };
        let values = values.read().unwrap_or_else(PoisonError::into_inner).clone();
        Extensions(OnceLock::from(Box::new(RwLock::new(values))))
    }
}

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extensions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type() {
        let extensions = Extensions::default();
        assert_eq!(extensions.get::<u32>(), None);
        extensions.insert(1u32);
        extensions.insert(2u32);
        extensions.insert("text");
        assert_eq!(
            (extensions.get::<u32>().as_deref(), extensions.get::<&str>().as_deref()),
            (Some(&2), Some(&"text"))
        );
        assert_eq!(extensions.remove::<u32>().as_deref(), Some(&2));
        assert_eq!(extensions.get::<u32>(), None);
    }
}
