#include "deploy/psk_set.h"

#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/psk_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct identity {
    size_t length;
    char text[];
};

struct wanted {
    const char *text;
    size_t length;
};

static bool matches(const void *object, const void *key)
{
    const struct identity *identity = object;
    const struct wanted *wanted = key;
    return identity->length == wanted->length &&
           memcmp(identity->text, wanted->text, wanted->length) == 0;
}

static uint64_t hash_of(const void *context, const void *object)
{
    const struct identity *identity = object;
    return hash_bytes(context, identity->text, identity->length);
}

enum status psk_set_init(struct psk_set *set)
{
    *set = (struct psk_set){.descriptor = -1};
    uint8_t seed[16];
    enum status status = keys_random(seed, sizeof seed);
    if (status != STATUS_OK)
        return status;
    set->hash_key = hash_key_from(seed);
    status = table_init(&set->identities, IDENTITIES_MAX, matches, hash_of, &set->hash_key);
    if (status != STATUS_OK)
        return status;
    set->descriptor = memfd_create("psk", MFD_CLOEXEC);
    if (set->descriptor >= 0)
        return STATUS_OK;
    table_free(&set->identities);
    return STATUS_SYSTEM;
}

void psk_set_free(struct psk_set *set)
{
    size_t cursor = 0;
    for (void *object; (object = table_next(&set->identities, &cursor)) != NULL;)
        free(object);
    table_free(&set->identities);
    if (set->descriptor >= 0)
        (void)close(set->descriptor);
    *set = (struct psk_set){.descriptor = -1};
}

/* "identity:hexkey\n" at the end of the file. */
static enum status write_line(int file, const char *identity, size_t identity_length,
                              const uint8_t *key, size_t key_length)
{
    char line[IDENTITY_LENGTH_MAX + 1 + 2 * PSK_LENGTH_MAX + 2];
    size_t length = identity_length;
    memcpy(line, identity, length);
    line[length++] = ':';
    for (size_t i = 0; i < key_length; i++, length += 2)
        (void)snprintf(line + length, 3, "%02x", key[i]);
    line[length++] = '\n';
    ssize_t written = write(file, line, length);
    keys_wipe(line, sizeof line);
    return written == (ssize_t)length ? STATUS_OK : STATUS_SYSTEM;
}

enum status psk_set_add(void *owner, const char *identity, size_t identity_length,
                        const uint8_t *key, size_t key_length)
{
    struct psk_set *set = owner;
    if (!psk_file_can_hold(identity, identity_length))
        return STATUS_MALFORMED;
    if (key_length > PSK_LENGTH_MAX)
        return STATUS_TOO_LONG;
    const struct wanted wanted = {identity, identity_length};
    uint64_t hash = hash_bytes(&set->hash_key, identity, identity_length);
    if (table_find(&set->identities, hash, &wanted))
        return STATUS_EXISTS;

    struct identity *added = malloc(sizeof *added + identity_length);
    if (!added)
        return STATUS_NO_MEMORY;
    added->length = identity_length;
    memcpy(added->text, identity, identity_length);
    enum status status = table_insert(&set->identities, hash, added);
    if (status != STATUS_OK) {
        free(added);
        return status;
    }
    return write_line(set->descriptor, identity, identity_length, key, key_length);
}
