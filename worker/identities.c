#include "worker/identities.h"

#include <string.h>

struct identity {
    size_t length;
    struct psk psk;
    uint8_t bytes[IDENTITY_LENGTH_MAX];
};

static bool identity_match(const void *object, const void *key)
{
    const struct identity *identity = object;
    const struct octets *octets = key;
    return identity->length == octets->length &&
           memcmp(identity->bytes, octets->bytes, octets->length) == 0;
}

static uint64_t identity_hash(const void *context, const void *object)
{
    const struct identity *identity = object;
    return hash_bytes(context, identity->bytes, identity->length);
}

static struct identity *find(const struct identities *identities, struct octets name)
{
    return table_find(&identities->table,
                      hash_bytes(&identities->hash_key, name.bytes, name.length), &name);
}

enum status identities_init(struct identities *identities, size_t identities_max,
                            const struct hash_key *hash_key)
{
    *identities = (struct identities){.hash_key = *hash_key};
    enum status status = pool_init(&identities->pool, sizeof(struct identity), identities_max);
    if (status == STATUS_OK)
        status = table_init(&identities->table, identities_max, identity_match, identity_hash,
                            &identities->hash_key);
    return status;
}

void identities_free(struct identities *identities)
{
    size_t cursor = 0;
    for (struct identity *identity; (identity = table_next(&identities->table, &cursor));)
        keys_wipe(identity, sizeof(*identity));
    table_free(&identities->table);
    pool_free(&identities->pool);
}

enum status identities_add(struct identities *identities, struct octets name, struct octets psk)
{
    if (name.length > IDENTITY_LENGTH_MAX || psk.length > PSK_LENGTH_MAX)
        return STATUS_TOO_LONG;
    if (find(identities, name))
        return STATUS_EXISTS;
    struct identity *identity = pool_get(&identities->pool);
    if (!identity)
        return STATUS_FULL;
    identity->length = name.length;
    memcpy(identity->bytes, name.bytes, name.length);
    identity->psk.length = psk.length;
    memcpy(identity->psk.bytes, psk.bytes, psk.length);
    enum status status =
        table_insert(&identities->table, identity_hash(&identities->hash_key, identity), identity);
    if (status != STATUS_OK)
        pool_put(&identities->pool, identity);
    return status;
}

enum status identities_find(const struct identities *identities, struct octets name,
                            struct psk *psk)
{
    const struct identity *identity = find(identities, name);
    if (!identity)
        return STATUS_NOT_FOUND;
    *psk = identity->psk;
    return STATUS_OK;
}

enum status identity_seal(struct vault *vault, struct octets identity, const struct psk *psk,
                          struct writer *sealed)
{
    return vault_seal(vault, VAULT_IDENTITY, identity, (struct octets){psk->bytes, psk->length},
                      sealed);
}

enum vault_outcome identity_open(struct vault *vault, struct octets identity, struct octets sealed,
                                 struct psk *psk)
{
    return vault_open(vault, VAULT_IDENTITY, identity, sealed, psk->bytes, sizeof(psk->bytes),
                      &psk->length);
}
