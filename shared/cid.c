#include "shared/cid.h"

#include "shared/cursor.h"
#include "shared/keys.h"

#include <string.h>

#define BLOCK_SIZE WC_AES_BLOCK_SIZE
#define HALF_MAX ((CID_LENGTH_MAX - 1 + 1) / 2)
#define WORKER_ID_LENGTH_MAX 15
#define NONCE_LENGTH_MAX 18

/* What the two octets at the end of expand() leave for a half. */
_Static_assert(HALF_MAX <= BLOCK_SIZE - 2, "a half fits its block");

static size_t sealed_length(const struct cid_config *config)
{
    return (size_t)config->worker_id_length + config->nonce_length;
}

/* What of a block belongs to a half. */
static void set_masks(struct cid_config *config)
{
    size_t half = (sealed_length(config) + 1) / 2;
    memset(config->left_mask, 0xff, half);
    memset(config->right_mask, 0xff, half);
    if (sealed_length(config) % 2 == 1) {
        config->left_mask[half - 1] = 0xf0;
        config->right_mask[0] = 0x0f;
    }
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
    set_masks(config);
    config->in_use = true;
    return STATUS_OK;
}

void cid_config_free(struct cid_config *config)
{
    wc_AesFree(&config->encrypt);
    wc_AesFree(&config->decrypt);
    keys_wipe(config, sizeof *config);
}

/* The two halves, of ceil(length / 2) octets each, in blocks whose rest is zero. Where the length
 * is odd they share the middle octet: the left half keeps its high nibble, the right one its low
 * nibble. */
struct halves {
    uint8_t left[BLOCK_SIZE];
    uint8_t right[BLOCK_SIZE];
};

static void xor_masked(uint8_t target[BLOCK_SIZE], const uint8_t pad[BLOCK_SIZE],
                       const uint8_t mask[BLOCK_SIZE])
{
    uint64_t words[3][2];
    memcpy(words[0], target, BLOCK_SIZE);
    memcpy(words[1], pad, BLOCK_SIZE);
    memcpy(words[2], mask, BLOCK_SIZE);
    words[0][0] ^= words[1][0] & words[2][0];
    words[0][1] ^= words[1][1] & words[2][1];
    memcpy(target, words[0], BLOCK_SIZE);
}

/* One pass of section 4.3.2: target ^= AES(expand(length, pass, source)), cut to a half. Whole
 * blocks: no loop, no length that has to be looked at. */
static enum status feistel_pass(struct cid_config *config, uint8_t pass,
                                const uint8_t source[BLOCK_SIZE], uint8_t target[BLOCK_SIZE],
                                const uint8_t mask[BLOCK_SIZE])
{
    uint8_t block[BLOCK_SIZE];
    uint8_t pad[BLOCK_SIZE];
    memcpy(block, source, BLOCK_SIZE);
    block[BLOCK_SIZE - 2] = (uint8_t)sealed_length(config);
    block[BLOCK_SIZE - 1] = pass;
    if (wc_AesEncryptDirect(&config->encrypt, pad, block) != 0)
        return STATUS_CRYPTO;
    xor_masked(target, pad, mask);
    return STATUS_OK;
}

static struct halves split(const uint8_t *text, size_t length)
{
    size_t half = (length + 1) / 2;
    struct halves halves = {{0}, {0}};
    for (size_t i = 0; i < half; i++) {
        halves.left[i] = text[i];
        halves.right[i] = text[length - half + i];
    }
    if (length % 2 == 1) {
        halves.left[half - 1] &= 0xf0;
        halves.right[0] &= 0x0f;
    }
    return halves;
}

static void join(const struct halves *halves, uint8_t *text, size_t length)
{
    size_t half = (length + 1) / 2;
    memset(text, 0, length);
    for (size_t i = 0; i < half; i++)
        text[i] = halves->left[i];
    for (size_t i = 0; i < half; i++)
        text[length - half + i] |= halves->right[i];
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
            changes_right
                ? feistel_pass(config, passes[i], halves.left, halves.right, config->right_mask)
                : feistel_pass(config, passes[i], halves.right, halves.left, config->left_mask);
        if (status != STATUS_OK)
            return status;
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
