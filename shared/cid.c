#include "shared/cid.h"

#include "shared/cursor.h"
#include "shared/keys.h"

#include <string.h>

#define BLOCK_SIZE           WC_AES_BLOCK_SIZE
#define HALF_MAX             ((CID_LENGTH_MAX - 1 + 1) / 2)
#define WORKER_ID_LENGTH_MAX 15
#define NONCE_LENGTH_MAX     18

/* What the two octets at the end of expand() leave for a half. */
_Static_assert(HALF_MAX <= BLOCK_SIZE - 2, "a half fits its block");

static size_t sealed_length(const struct cid_config *config)
{
    return (size_t)config->worker_id_length + config->nonce_length;
}

enum status cid_config_init(struct cid_config *config, uint8_t id, uint8_t worker_id_length,
                            uint8_t nonce_length, const uint8_t key[CID_KEY_SIZE])
{
    memset(config, 0, sizeof *config);
    size_t length = 1u + worker_id_length + nonce_length;
    if (id >= CID_CONFIG_UNROUTABLE || worker_id_length < 1 ||
        worker_id_length > WORKER_ID_LENGTH_MAX || nonce_length < CID_NONCE_LENGTH_MIN ||
        nonce_length > NONCE_LENGTH_MAX || length < CID_LENGTH_MIN || length > CID_LENGTH_MAX)
        return STATUS_UNSUPPORTED;

    config->id = id;
    config->worker_id_length = worker_id_length;
    config->nonce_length = nonce_length;
    if (wc_AesInit(&config->encrypt, NULL, INVALID_DEVID) != 0 ||
        wc_AesInit(&config->decrypt, NULL, INVALID_DEVID) != 0 ||
        wc_AesSetKeyDirect(&config->encrypt, key, CID_KEY_SIZE, NULL, AES_ENCRYPTION) != 0 ||
        wc_AesSetKeyDirect(&config->decrypt, key, CID_KEY_SIZE, NULL, AES_DECRYPTION) != 0) {
        cid_config_free(config);
        return STATUS_CRYPTO;
    }
    config->in_use = true;
    return STATUS_OK;
}

void cid_config_free(struct cid_config *config)
{
    wc_AesFree(&config->encrypt);
    wc_AesFree(&config->decrypt);
    keys_wipe(config, sizeof *config);
}

/* One pass of section 4.3.2: target ^= AES(expand(length, pass, source)), cut to a half. */
static enum status feistel_pass(struct cid_config *config, uint8_t pass, const uint8_t *source,
                                uint8_t *target, size_t half)
{
    uint8_t block[BLOCK_SIZE] = {0};
    uint8_t pad[BLOCK_SIZE];
    memcpy(block, source, half);
    block[BLOCK_SIZE - 2] = (uint8_t)sealed_length(config);
    block[BLOCK_SIZE - 1] = pass;
    if (wc_AesEncryptDirect(&config->encrypt, pad, block) != 0)
        return STATUS_CRYPTO;
    for (size_t i = 0; i < half; i++)
        target[i] ^= pad[i];
    return STATUS_OK;
}

/* The two halves, of ceil(length / 2) octets each. Where the length is odd they share the middle
 * octet: the left half keeps its high nibble, the right one its low nibble. */
struct halves {
    size_t size;
    bool shared_octet;
    uint8_t left[HALF_MAX];
    uint8_t right[HALF_MAX];
};

static void clear_foreign_nibbles(struct halves *halves)
{
    if (halves->shared_octet) {
        halves->left[halves->size - 1] &= 0xf0;
        halves->right[0] &= 0x0f;
    }
}

static struct halves split(const uint8_t *text, size_t length)
{
    struct halves halves = {.size = (length + 1) / 2, .shared_octet = length % 2 == 1};
    memcpy(halves.left, text, halves.size);
    memcpy(halves.right, text + length - halves.size, halves.size);
    clear_foreign_nibbles(&halves);
    return halves;
}

static void join(const struct halves *halves, uint8_t *text, size_t length)
{
    size_t right_at = length - halves->size;
    memset(text, 0, length);
    memcpy(text, halves->left, halves->size);
    for (size_t i = 0; i < halves->size; i++)
        text[right_at + i] |= halves->right[i];
}

/* Odd passes change the right half by the left one, even passes the left by the right. Running the
 * same passes backwards undoes them: each is its own inverse. */
static enum status feistel(struct cid_config *config, const uint8_t passes[4], uint8_t *text)
{
    size_t length = sealed_length(config);
    struct halves halves = split(text, length);
    for (size_t i = 0; i < 4; i++) {
        bool changes_right = passes[i] % 2 == 1;
        enum status status =
            feistel_pass(config, passes[i], changes_right ? halves.left : halves.right,
                         changes_right ? halves.right : halves.left, halves.size);
        if (status != STATUS_OK)
            return status;
        clear_foreign_nibbles(&halves);
    }
    join(&halves, text, length);
    return STATUS_OK;
}

static enum status encrypt(struct cid_config *config, uint8_t *text)
{
    if (sealed_length(config) != BLOCK_SIZE)
        return feistel(config, (const uint8_t[]){1, 2, 3, 4}, text);
    uint8_t block[BLOCK_SIZE];
    memcpy(block, text, BLOCK_SIZE);
    return wc_AesEncryptDirect(&config->encrypt, text, block) == 0 ? STATUS_OK : STATUS_CRYPTO;
}

static enum status decrypt(struct cid_config *config, uint8_t *text)
{
    if (sealed_length(config) != BLOCK_SIZE)
        return feistel(config, (const uint8_t[]){4, 3, 2, 1}, text);
    uint8_t block[BLOCK_SIZE];
    memcpy(block, text, BLOCK_SIZE);
    return wc_AesDecryptDirect(&config->decrypt, text, block) == 0 ? STATUS_OK : STATUS_CRYPTO;
}

enum status cid_encode(struct cid_config *config, const uint8_t *worker_id, const uint8_t *nonce,
                       struct cid *cid)
{
    struct cid made = {.length = (uint8_t)(1 + sealed_length(config))};
    uint8_t *text = made.bytes + 1;
    made.bytes[0] = (uint8_t)(config->id << 5 | sealed_length(config));
    memcpy(text, worker_id, config->worker_id_length);
    memcpy(text + config->worker_id_length, nonce, config->nonce_length);
    enum status status = encrypt(config, text);
    if (status == STATUS_OK)
        *cid = made;
    return status;
}

enum cid_outcome cid_decode(struct cid_config *configs, const uint8_t *bytes, size_t length,
                            uint8_t *worker_id, uint8_t *nonce)
{
    struct cursor cursor = cursor_over(bytes, length);
    uint8_t first = cursor_u8(&cursor);
    if (!cursor_ok(&cursor))
        return CID_WRONG_LENGTH;
    uint8_t id = first >> 5;
    if (id == CID_CONFIG_UNROUTABLE)
        return CID_UNROUTABLE;
    struct cid_config *config = &configs[id];
    if (!config->in_use)
        return CID_UNKNOWN_CONFIG;
    size_t text_length = sealed_length(config);
    if (cid_length_from_first(first) != 1 + text_length || cursor_left(&cursor) != text_length)
        return CID_WRONG_LENGTH;

    uint8_t text[CID_LENGTH_MAX];
    memcpy(text, cursor_bytes(&cursor, text_length), text_length);
    /* The library does not refuse a key schedule that it made; if it did, no worker is named. */
    if (decrypt(config, text) != STATUS_OK)
        return CID_UNROUTABLE;
    memcpy(worker_id, text, config->worker_id_length);
    memcpy(nonce, text + config->worker_id_length, config->nonce_length);
    return CID_ROUTABLE;
}

uint64_t cid_worker_number(const uint8_t *worker_id, size_t length)
{
    struct cursor cursor = cursor_over(worker_id, length);
    return cursor_number(&cursor, length);
}

bool cid_equal(const struct cid *a, const struct cid *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}
