/* The identities and keys that `holdfast up` was given, gathered in a memory file which its workers
 * read as a --psk-file: keys are neither in the arguments that `ps` shows nor on a disk. Each
 * identity once. Memory: 24 octets and its length for each identity, and the file. */
#ifndef HOLDFAST_DEPLOY_PSK_SET_H
#define HOLDFAST_DEPLOY_PSK_SET_H

#include "shared/hash.h"
#include "shared/status.h"
#include "shared/table.h"

#include <stddef.h>
#include <stdint.h>

struct psk_set {
    int descriptor; /* the memory file */
    struct hash_key hash_key;
    struct table identities;
};

/* STATUS_SYSTEM: no memory file, errno says why. */
MUST_USE enum status psk_set_init(struct psk_set *set);
void psk_set_free(struct psk_set *set);

/* STATUS_EXISTS: the identity is there; STATUS_MALFORMED: no line can name it (psk_file_can_hold);
 * STATUS_FULL: IDENTITIES_MAX. A psk_entry_fn, so that it takes files too. */
MUST_USE enum status psk_set_add(void *set, const char *identity, size_t identity_length,
                                 const uint8_t *key, size_t key_length);

#endif
