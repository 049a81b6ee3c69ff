/* The folder of an LMDB store: made, shared, and checked for what a fallen host left behind.
 *
 * With sync=os nothing waits for the disk, and the host's fall can leave any mixture of old and new
 * pages: numbers that were leased could be leased again. So a file `host` names the host's boot
 * since which something is not known to be on disk; it is emptied when the last process leaves.
 * Who finds another boot in it begins with an empty store and keeps the old data as
 * data.mdb.unsynced. Every process holds a shared flock on it. */
#ifndef HOLDFAST_SHARED_STORE_LMDB_FOLDER_H
#define HOLDFAST_SHARED_STORE_LMDB_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/status.h"

#define HOST_BOOT_SIZE 40 /* "92d5d20f-1e1c-4e03-8a20-a5a9ac9b1d5c" and room */

struct lmdb_folder {
    char path[PATH_MAX];
    char boot[HOST_BOOT_SIZE]; /* of this host; "" if it cannot be told */
    int marker;                /* descriptor of `host`; -1: not open */
};

/* Makes the folder, 0700, with what is missing above it. `waits`: every commit waits for the disk.
 * STATUS_SYSTEM, STATUS_TOO_LONG: `why` says what failed. */
MUST_USE enum status lmdb_folder_open(struct lmdb_folder *folder, const char *path, bool waits,
                                      char *why, size_t why_size);
/* After the environment has been closed. The last process waits for the disk. */
void lmdb_folder_close(struct lmdb_folder *folder);

#endif
