#include "bench/association.h"

#define EPOCH 1

enum status association_seal(struct association *association, struct protector *protector,
                             enum record_type type, const uint8_t *content, size_t length,
                             struct writer *out)
{
    const struct record_header header = {
        .type = (uint8_t)type,
        .epoch = EPOCH,
        .sequence = association->sequence++,
        .nonce_prefix = association->nonce_prefix,
        .cid = association->cid,
        .cid_length = association->cid_length,
    };
    return protect_seal(protector, &suites[association->suite], &association->write, &header,
                        content, length, out);
}

enum status association_open(const struct association *association, struct protector *protector,
                             const struct record *record, uint8_t **content, size_t *length,
                             uint8_t *type)
{
    if (record->form == RECORD_UNIFIED || record->epoch != EPOCH)
        return STATUS_BAD_TAG;
    return protect_open(protector, &suites[association->suite], &association->read, record, content,
                        length, type);
}
