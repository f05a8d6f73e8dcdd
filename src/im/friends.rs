//! Friends, and those whom one does not want to hear from: they can send no private messages, and are not seen typing.

use std::sync::Arc;

use super::Im;
use super::answer::Refusal;
use super::identity::User;
use super::ties::Change;
use crate::store::friends::{self, Friend, FriendRequest, Requested};
use crate::store::{StoreExt as _, blocks};

impl Im {
    /// Asks somebody to be friends. Two who ask each other are.
    ///
    /// # Errors
    /// It is oneself, a friend already, or somebody who has blocked `user`.
    pub async fn request_friend(
        &self,
        user: User,
        friend: u64,
        remark: Option<String>,
    ) -> Result<Requested, Refusal> {
        let who = user.id();
        self.write(move |tx, now| Box::pin(friends::request(tx, who, friend, remark.clone(), now))).await
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// There is none.
    pub async fn accept_friend(
        &self,
        user: User,
        friend: u64,
        remark: Option<String>,
    ) -> Result<(), Refusal> {
        let who = user.id();
        self.write(move |tx, now| Box::pin(friends::accept(tx, who, friend, remark.clone(), now))).await
    }

    /// Refuses a request.
    ///
    /// # Errors
    /// There is none.
    pub async fn reject_friend(&self, user: User, friend: u64) -> Result<(), Refusal> {
        let who = user.id();
        self.write(move |tx, _| Box::pin(friends::reject(tx, who, friend))).await
    }

    /// Ends a friendship.
    ///
    /// # Errors
    /// There is none.
    pub async fn remove_friend(&self, user: User, friend: u64) -> Result<(), Refusal> {
        let who = user.id();
        self.write(move |tx, _| Box::pin(friends::remove(tx, who, friend))).await
    }

    /// Changes what a friend is called.
    ///
    /// # Errors
    /// They are no friends.
    pub async fn remark_friend(
        &self,
        user: User,
        friend: u64,
        remark: Option<String>,
    ) -> Result<(), Refusal> {
        let who = user.id();
        self.write(move |tx, _| Box::pin(friends::set_remark(tx, who, friend, remark.clone()))).await
    }

    /// A user's friends, and who asks to be one.
    ///
    /// # Errors
    /// The store is away.
    pub async fn friends(&self, user: User) -> Result<(Vec<Friend>, Vec<FriendRequest>), Refusal> {
        let who = user.id();
        let both = self.store.reading(move |tx| {
            Box::pin(async move { Ok((friends::list(tx, who).await?, friends::requests(tx, who).await?)) })
        });
        Ok(both.await?)
    }

    /// Blocks somebody, who can then send `user` no private messages.
    ///
    /// # Errors
    /// It is oneself.
    pub async fn block(self: &Arc<Self>, user: User, other: u64) -> Result<(), Refusal> {
        let (im, by) = (self.clone(), user.id());
        self.wholly(async move {
            im.write(move |tx, now| Box::pin(blocks::block(tx, by, other, now))).await?;
            im.change(Change::Blocks { user: other }).await;
            Ok(())
        })
        .await
    }

    /// Takes a block back.
    ///
    /// # Errors
    /// The store is away.
    pub async fn unblock(self: &Arc<Self>, user: User, other: u64) -> Result<(), Refusal> {
        let (im, by) = (self.clone(), user.id());
        self.wholly(async move {
            im.write(move |tx, _| Box::pin(blocks::unblock(tx, by, other))).await?;
            im.change(Change::Blocks { user: other }).await;
            Ok(())
        })
        .await
    }

    /// Whom a user has blocked.
    ///
    /// # Errors
    /// The store is away.
    pub async fn blocked(&self, user: User) -> Result<Vec<u64>, Refusal> {
        let who = user.id();
        Ok(self.store.reading(move |tx| Box::pin(blocks::list(tx, who))).await?)
    }
}
