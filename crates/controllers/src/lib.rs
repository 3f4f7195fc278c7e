//! The reconcilers that a small cluster needs: default service accounts, scheduler, volume binder.
