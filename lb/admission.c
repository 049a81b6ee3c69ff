#include "lb/admission.h"

/* Tokens are counted in thousandths: a rate per second then adds whole numbers per millisecond. */
#define TOKEN 1000u

struct bucket {
    struct recency_link recency; /* first: a link is its bucket */
    uint64_t level;              /* thousandths of a token, as of filled_ms */
    uint64_t filled_ms;
    struct address prefix;
};

static uint64_t hash_bucket(const void *context, const void *object)
{
    const struct bucket *bucket = object;
    return hash_bytes(context, &bucket->prefix, sizeof(bucket->prefix));
}

static bool match_bucket(const void *object, const void *key)
{
    const struct bucket *bucket = object;
    return address_equal(&bucket->prefix, key);
}

enum status admission_init(struct admission *admission, size_t prefixes_max, uint32_t rate,
                           uint32_t burst, const struct hash_key *key)
{
    *admission = (struct admission){.key = *key, .rate = rate, .burst = burst > 0 ? burst : 1};
    enum status status = pool_init(&admission->pool, sizeof(struct bucket), prefixes_max);
    if (status != STATUS_OK)
        return status;
    status =
        table_init(&admission->table, prefixes_max, match_bucket, hash_bucket, &admission->key);
    if (status != STATUS_OK)
        pool_free(&admission->pool);
    return status;
}

void admission_free(struct admission *admission)
{
    table_free(&admission->table);
    pool_free(&admission->pool);
}

static void discard_oldest(struct admission *admission)
{
    struct bucket *oldest = (struct bucket *)admission->recency.oldest;

    (void)table_remove(&admission->table, hash_bucket(&admission->key, oldest), oldest);
    recency_remove(&admission->recency, &oldest->recency);
    pool_put(&admission->pool, oldest);
    admission->evicted++;
}

static struct bucket *add(struct admission *admission, const struct address *prefix,
                          uint64_t now_ms)
{
    if (admission->table.count == admission->table.count_max)
        discard_oldest(admission);
    struct bucket *bucket = pool_get(&admission->pool);
    if (!bucket)
        return NULL;
    *bucket = (struct bucket){
        .level = (uint64_t)admission->burst * TOKEN, .filled_ms = now_ms, .prefix = *prefix};
    if (table_insert(&admission->table, hash_bucket(&admission->key, bucket), bucket) !=
        STATUS_OK) {
        pool_put(&admission->pool, bucket);
        return NULL;
    }
    recency_add(&admission->recency, &bucket->recency);
    return bucket;
}

static void fill(const struct admission *admission, struct bucket *bucket, uint64_t now_ms)
{
    uint64_t full = (uint64_t)admission->burst * TOKEN;
    uint64_t elapsed_ms = now_ms - bucket->filled_ms;

    /* Compared before it is multiplied: a long silence must not overflow. */
    if (elapsed_ms >= full / admission->rate + 1)
        bucket->level = full;
    else
        bucket->level += elapsed_ms * admission->rate; /* 1/1000 token per ms and unit of rate */
    if (bucket->level > full)
        bucket->level = full;
    bucket->filled_ms = now_ms;
}

enum admission_outcome admission_ask(struct admission *admission, const struct address *source,
                                     uint64_t now_ms)
{
    if (admission->rate == 0)
        return ADMISSION_GRANTED;

    struct address prefix = address_prefix(source);
    uint64_t hash = hash_bytes(&admission->key, &prefix, sizeof(prefix));
    struct bucket *bucket = table_find(&admission->table, hash, &prefix);
    if (!bucket)
        bucket = add(admission, &prefix, now_ms);
    if (!bucket)
        return ADMISSION_REFUSED;

    recency_touch(&admission->recency, &bucket->recency);
    fill(admission, bucket, now_ms);
    if (bucket->level < TOKEN)
        return ADMISSION_REFUSED;
    bucket->level -= TOKEN;
    return ADMISSION_GRANTED;
}
