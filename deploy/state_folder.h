/* The folder in which `holdfast` keeps what outlives a command:
 *   cluster.key  of the last `holdfast up`, so that `holdfast cid decode` can read its Connection
 * IDs store.key    the one that a store which outlives `holdfast up` is sealed with: made once
 *   store        the LMDB store, unless another folder is chosen */
#ifndef HOLDFAST_DEPLOY_STATE_FOLDER_H
#define HOLDFAST_DEPLOY_STATE_FOLDER_H

#include "shared/keys.h"
#include "shared/status.h"

#include <limits.h>
#include <stddef.h>

#define STATE_PATH_MAX PATH_MAX

/* The folder's path: `chosen` if not NULL, else $XDG_STATE_HOME/holdfast, else
 * $HOME/.local/state/holdfast (XDG Base Directory Specification 0.8). STATUS_NOT_FOUND: neither
 * variable is an absolute path. STATUS_TOO_LONG: leaves no room for the names of its files. */
MUST_USE enum status state_folder_path(const char *chosen, char path[STATE_PATH_MAX]);

/* Makes it and what is missing above it, mode 0700. STATUS_SYSTEM: errno says why. */
MUST_USE enum status state_folder_make(const char *path);

/* The paths of cluster.key and store.key in it. */
void state_folder_key_path(const char *path, char key_path[STATE_PATH_MAX]);
void state_folder_store_key_path(const char *path, char key_path[STATE_PATH_MAX]);

/* Writes cluster.key, mode 0600, in one step: a reader finds the old key or the new one.
 * STATUS_SYSTEM: errno says why. */
MUST_USE enum status state_folder_write_key(const char *path, const struct cluster_key *key);

/* Reads store.key, or makes it, mode 0600, when there is none; what stands there is never replaced,
 * for without it the store cannot be read. Of two that begin at once one makes it, and both get the
 * same. STATUS_MALFORMED: it holds no key. STATUS_SYSTEM: errno says why; STATUS_CRYPTO: no random
 * numbers. */
MUST_USE enum status state_folder_keep_store_key(const char *path, struct cluster_key *key);

/* The text of a cluster key's file: 64 hex digits and a line feed; holds a secret. */
#define CLUSTER_KEY_TEXT_SIZE (2 * CLUSTER_KEY_SIZE + 2)
void cluster_key_text(const struct cluster_key *key, char text[CLUSTER_KEY_TEXT_SIZE]);

#endif
