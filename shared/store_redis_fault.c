/* What goes wrong at a server: which question is asked again, and what the operator is told. */
#include <stdio.h>
#include <string.h>

#include "shared/store_redis.h"

static void set_fault(struct store_redis *store, const struct redis_link *link,
                      enum redis_fault fault, const char *detail, size_t length)
{
    store->fault = fault;
    store->fault_link = link;
    store->fault_detail[0] = '\0';
    if (length > 0)
        (void)log_quote(store->fault_detail, sizeof store->fault_detail, detail, length);
}

/* Asked again, at once or after a pause; a question that nobody can answer ends some time. */
static void retry(struct store_redis *store, struct redis_question *question, uint64_t pause_ms)
{
    if (++question->attempts > REDIS_ATTEMPTS_MAX) {
        store_redis_fail(store, question);
        return;
    }
    question->not_before_ms = pause_ms > 0 ? store->now_ms + pause_ms : 0;
    store_redis_enqueue(store, question);
}

/* A restart, or somebody's SCRIPT FLUSH. The link carries the script before the question. */
static void load_script(struct store_redis *store, struct redis_question *question,
                        struct redis_link *link)
{
    uint8_t bytes[4096];
    store_redis_begin(store, "SCRIPT");
    redis_command_text(&store->command, "LOAD");
    redis_command_text(&store->command, redis_script_text((enum redis_script)question->script));
    struct writer writer = writer_over(bytes, sizeof bytes);
    redis_command_write(&store->command, &writer);
    if (redis_link_send(link, NULL, (const char *)bytes, writer_length(&writer)) == STATUS_OK)
        retry(store, question, 0);
    else
        store_redis_fail(store, question);
}

/* Whether the fault is of the connection, or may end with it: a name may lead elsewhere now. */
static bool ends_connection(enum redis_fault fault)
{
    return fault == REDIS_FAULT_NOAUTH || fault == REDIS_FAULT_READONLY ||
           fault == REDIS_FAULT_MASTERDOWN || fault == REDIS_FAULT_LOADING;
}

void store_redis_on_error(struct store_redis *store, struct redis_question *question,
                          struct redis_link *link, const char *text, size_t length)
{
    if (redis_error_is(text, length, "NOSCRIPT") && question->script != REDIS_SCRIPTS) {
        load_script(store, question, link);
        return;
    }
    enum redis_fault fault = redis_fault_of(text, length);
    bool is_known = fault != REDIS_FAULT_OTHER && fault != REDIS_FAULT_NOPERM;
    set_fault(store, link, fault, text, is_known ? 0 : length);
    if (ends_connection(fault))
        redis_link_drop(link, fault);
    store_redis_fail(store, question);
}

void store_redis_on_success(struct store_redis *store, const struct redis_question *question,
                            const struct redis_link *link)
{
    if (store->fault == REDIS_FAULT_NONE || store->fault_link != link)
        return;
    if (redis_fault_is_of_writes(store->fault) && !store_redis_is_write(question->kind))
        return;
    store->fault = REDIS_FAULT_NONE;
}

/* A small write, where nobody else might ask: SET with a TTL of its own. */
static void probe(struct store_redis *store)
{
    if (store->fault == REDIS_FAULT_NONE || store->is_probing || store->now_ms < store->probe_ms)
        return;
    store->probe_ms = store->now_ms + REDIS_PING_MS;
    struct redis_key key = store_redis_probe_key(store, 0);
    store_redis_begin(store, "SET");
    store_redis_add(store, &key);
    redis_command_text(&store->command, "1");
    redis_command_text(&store->command, "PX");
    redis_command_text(&store->command, "1000");
    struct redis_question *question =
        store_redis_make(store, QUESTION_PROBE, NULL, &key, REDIS_SCRIPTS);
    store->is_probing = question != NULL;
    store_redis_enqueue(store, question);
}

static void spell(char text[REDIS_TROUBLE_MAX], enum redis_fault fault, const char *detail)
{
    (void)snprintf(text, REDIS_TROUBLE_MAX, detail[0] ? "redis: %s (%s)" : "redis: %s",
                   redis_fault_text(fault), detail);
}

void store_redis_report(struct store_redis *store)
{
    enum redis_fault fault = redis_link_fault(store->link);
    bool is_ready = redis_link_is_ready(store->link);
    if (fault != REDIS_FAULT_NONE)
        spell(store->trouble, fault, redis_link_detail(store->link));
    else if (store->fault != REDIS_FAULT_NONE)
        spell(store->trouble, store->fault, store->fault_detail);
    else
        (void)snprintf(store->trouble, sizeof store->trouble, "%s",
                       is_ready ? "" : "redis: not connected yet");
    if (is_ready)
        probe(store);

    bool is_new = strcmp(store->trouble, store->reported) != 0;
    uint64_t left_out = 0;
    if (!is_new || (!is_ready && fault == REDIS_FAULT_NONE) ||
        !log_allow(&store->log_limit, store->now_ms, 2, &left_out))
        return;
    char host[REDIS_HOST_TEXT_MAX], quoted[2 * REDIS_TROUBLE_MAX];
    redis_host_format(redis_link_host(store->link), host);
    if (store->trouble[0])
        log_line(LOG_WARN, "redis", "not available", "server=%s reason=%s left_out=%llu", host,
                 log_quote(quoted, sizeof quoted, store->trouble, strlen(store->trouble)),
                 (unsigned long long)left_out);
    else
        log_line(LOG_INFO, "redis", "available", "server=%s", host);
    memcpy(store->reported, store->trouble, sizeof store->reported);
}
