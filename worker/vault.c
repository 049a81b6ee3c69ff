#include "worker/vault.h"

#define VAULT_KEY_SIZE 32
#define NAME_MAX_OCTETS 160
#define AAD_MAX (1 + 1 + 1 + NAME_MAX_OCTETS)

static enum status set_key(struct vault *vault, Aes *aes, uint8_t key_id)
{
    uint8_t key[VAULT_KEY_SIZE];
    enum status status =
        keys_derive(&vault->cluster_key, KEY_STORE_SEAL, &key_id, 1, key, sizeof(key));
    if (status == STATUS_OK && wc_AesGcmSetKey(aes, key, sizeof(key)) != 0)
        status = STATUS_CRYPTO;
    keys_wipe(key, sizeof(key));
    return status;
}

enum status vault_init(struct vault *vault, const struct cluster_key *key, uint8_t key_id)
{
    *vault = (struct vault){.cluster_key = *key, .key_id = key_id, .open_key_id = -1};
    if (wc_AesInit(&vault->seal, NULL, INVALID_DEVID) != 0 ||
        wc_AesInit(&vault->open, NULL, INVALID_DEVID) != 0 || wc_InitRng(&vault->rng) != 0)
        return STATUS_CRYPTO;
    return set_key(vault, &vault->seal, key_id);
}

void vault_free(struct vault *vault)
{
    wc_AesFree(&vault->seal);
    wc_AesFree(&vault->open);
    wc_FreeRng(&vault->rng);
    keys_wipe(vault, sizeof(*vault));
}

/* Length 0: the name is longer than any that we use. */
static size_t additional_data(uint8_t aad[AAD_MAX], uint8_t key_id, enum vault_kind kind,
                              struct octets name)
{
    struct writer writer = writer_over(aad, AAD_MAX);
    writer_u8(&writer, VAULT_FORMAT);
    writer_u8(&writer, key_id);
    writer_u8(&writer, (uint8_t)kind);
    writer_bytes(&writer, name.bytes, name.length);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

enum status vault_seal(struct vault *vault, enum vault_kind kind, struct octets name,
                       struct octets plain, struct writer *sealed)
{
    uint8_t aad[AAD_MAX];
    size_t aad_length = additional_data(aad, vault->key_id, kind, name);
    writer_u8(sealed, VAULT_FORMAT);
    writer_u8(sealed, vault->key_id);
    uint8_t *nonce = writer_space(sealed, VAULT_NONCE_SIZE);
    uint8_t *text = writer_space(sealed, plain.length);
    uint8_t *tag = writer_space(sealed, VAULT_TAG_SIZE);
    if (!writer_ok(sealed) || aad_length == 0)
        return STATUS_TOO_LONG;
    if (wc_RNG_GenerateBlock(&vault->rng, nonce, VAULT_NONCE_SIZE) != 0 ||
        wc_AesGcmEncrypt(&vault->seal, text, plain.bytes, (word32)plain.length, nonce,
                         VAULT_NONCE_SIZE, tag, VAULT_TAG_SIZE, aad, (word32)aad_length) != 0)
        return STATUS_CRYPTO;
    return STATUS_OK;
}

enum vault_outcome vault_open(struct vault *vault, enum vault_kind kind, struct octets name,
                              struct octets sealed, uint8_t *space, size_t size, size_t *length)
{
    struct cursor cursor = cursor_over(sealed.bytes, sealed.length);
    uint8_t format = cursor_u8(&cursor);
    uint8_t key_id = cursor_u8(&cursor);
    if (cursor_ok(&cursor) && format != VAULT_FORMAT)
        return VAULT_UNKNOWN_FORMAT;
    if (cursor_ok(&cursor) && key_id > vault->key_id)
        return VAULT_UNKNOWN_KEY;
    const uint8_t *nonce = cursor_bytes(&cursor, VAULT_NONCE_SIZE);
    size_t left = cursor_left(&cursor);
    size_t text_length = left < VAULT_TAG_SIZE ? 0 : left - VAULT_TAG_SIZE;
    const uint8_t *text = cursor_bytes(&cursor, text_length);
    const uint8_t *tag = cursor_bytes(&cursor, VAULT_TAG_SIZE);
    if (!cursor_ok(&cursor) || text_length > size)
        return VAULT_TRUNCATED;

    uint8_t aad[AAD_MAX];
    size_t aad_length = additional_data(aad, key_id, kind, name);
    if (vault->open_key_id != key_id) {
        vault->open_key_id = -1;
        if (set_key(vault, &vault->open, key_id) != STATUS_OK)
            return VAULT_UNKNOWN_KEY;
        vault->open_key_id = key_id;
    }
    if (aad_length == 0 ||
        wc_AesGcmDecrypt(&vault->open, space, text, (word32)text_length, nonce, VAULT_NONCE_SIZE,
                         tag, VAULT_TAG_SIZE, aad, (word32)aad_length) != 0)
        return VAULT_BAD_TAG;
    *length = text_length;
    return VAULT_OPENED;
}
