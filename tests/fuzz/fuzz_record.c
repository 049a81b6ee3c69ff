/* Input: how long CIDs are (0: ours, self-described; n: n - 1 octets), then a datagram, which is
 * walked as the lb does: record by record, and each CID decoded. */
#include "shared/cid.h"
#include "shared/record.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Each octet of the view is read, so that a sanitizer sees one that is not the datagram's. */
static unsigned sum_of(const uint8_t *bytes, size_t length)
{
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return sum;
}

static void check_view(const struct record *record, const uint8_t *start, const uint8_t *end)
{
    require(record->start == start);
    require(record->payload == start + record->header_length);
    require(record->payload + record->payload_length == end);
    require(record->sequence <= RECORD_SEQUENCE_MAX);
    require((record->cid != NULL) == (record->cid_length > 0));
    require(record->form != RECORD_CID || record->cid != NULL);
    require(record->form != RECORD_PLAINTEXT || record->cid == NULL);
    volatile unsigned sum = sum_of(start, (size_t)(end - start));
    if (record->cid) {
        require(record->cid > start && record->cid + record->cid_length <= record->payload);
        sum += sum_of(record->cid, record->cid_length);
    }
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[CID_KEY_SIZE] = {1, 2, 3};
    struct cid_config configs[CID_CONFIGS_MAX] = {0};
    struct cursor input = cursor_over(data, size);
    uint8_t way = cursor_u8(&input);
    size_t cid_length = way == 0 ? RECORD_CID_SELF_DESCRIBED : way - 1u;
    if (!cursor_ok(&input))
        return 0;
    require(cid_config_init(&configs[0], 0, 2, 5, key) == STATUS_OK);

    struct record record;
    struct cursor datagram = input;
    while (record_next(&datagram, cid_length, &record) == STATUS_OK) {
        uint8_t worker_id[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
        check_view(&record, input.at, datagram.at);
        if (record.cid)
            (void)cid_decode(configs, record.cid, record.cid_length, worker_id, nonce);
        input = datagram;
    }
    require(cursor_ok(&datagram) && datagram.at == input.at);
    cid_config_free(&configs[0]);
    return 0;
}
