/* Input: the lengths of worker id and nonce, then a CID of a peer's making. Decoded by the config
 * of these lengths; what is routable must come out the same when it is made again. The same octets
 * then serve as worker id and nonce. */
#include "shared/cid.h"
#include "shared/cursor.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_ID 2

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void decode_foreign(struct cid_config *configs, const uint8_t *bytes, size_t length)
{
    uint8_t worker_id[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
    struct cid again;
    switch (cid_decode(configs, bytes, length, worker_id, nonce)) {
    case CID_ROUTABLE:
        require(cid_encode(&configs[CONFIG_ID], worker_id, nonce, &again) == STATUS_OK);
        require(again.length == length && memcmp(again.bytes, bytes, length) == 0);
        break;
    case CID_UNROUTABLE:
        require(bytes[0] >> 5 == CID_CONFIG_UNROUTABLE);
        break;
    case CID_UNKNOWN_CONFIG:
        require(bytes[0] >> 5 != CONFIG_ID);
        break;
    case CID_WRONG_LENGTH:
        require(length == 0 || bytes[0] >> 5 == CONFIG_ID);
        break;
    }
}

static void make_own(struct cid_config *configs, const uint8_t *bytes, size_t length)
{
    struct cid_config *config = &configs[CONFIG_ID];
    uint8_t text[2 * CID_LENGTH_MAX] = {0};
    uint8_t worker_id[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
    struct cid cid;
    if (length > 0)
        memcpy(text, bytes, length < sizeof text ? length : sizeof text);
    require(cid_encode(config, text, text + CID_LENGTH_MAX, &cid) == STATUS_OK);
    require(cid.length == cid_length_from_first(cid.bytes[0]));
    require(cid_decode(configs, cid.bytes, cid.length, worker_id, nonce) == CID_ROUTABLE);
    require(memcmp(worker_id, text, config->worker_id_length) == 0);
    require(memcmp(nonce, text + CID_LENGTH_MAX, config->nonce_length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[CID_KEY_SIZE] = {0x8f, 0x95, 0xf0, 0x92, 0x45, 0x76, 0x5f, 0x80,
                                              0x25, 0x69, 0x34, 0xe5, 0x0c, 0x66, 0x20, 0x7f};
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    struct cursor input = cursor_over(data, size);
    uint8_t worker_id_length = cursor_u8(&input);
    uint8_t nonce_length = cursor_u8(&input);
    size_t length = cursor_left(&input);
    if (!cursor_ok(&input) || cid_config_init(&configs[CONFIG_ID], CONFIG_ID, worker_id_length,
                                              nonce_length, key) != STATUS_OK)
        return 0;
    decode_foreign(configs, input.at, length);
    make_own(configs, input.at, length);
    cid_config_free(&configs[CONFIG_ID]);
    return 0;
}
