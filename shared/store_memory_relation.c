#include "shared/store_memory.h"

static struct memory_page *page_of(struct store_memory *memory,
                                   const struct memory_session *session)
{
    return &memory->pages[store_obliged_page(&session->cid)];
}

static void link_obliged(struct store_memory *memory, struct memory_session *session)
{
    struct memory_page *page = page_of(memory, session);
    session->obliged_since = ++memory->obliged_newest;
    session->obliged_before = page->last;
    session->obliged_after = NULL;
    *(page->last ? &page->last->obliged_after : &page->first) = session;
    page->last = session;
}

static void unlink_obliged(struct store_memory *memory, struct memory_session *session)
{
    struct memory_page *page = page_of(memory, session);
    struct memory_session *before = session->obliged_before;
    struct memory_session *after = session->obliged_after;
    *(before ? &before->obliged_after : &page->first) = after;
    *(after ? &after->obliged_before : &page->last) = before;
}

/* Where the relation in a slot hangs; where it would, if there is none. */
static struct memory_relation **find_relation(struct memory_session *session, uint8_t slot)
{
    struct memory_relation **at = &session->relations;
    while (*at && (*at)->slot != slot)
        at = &(*at)->next;
    return at;
}

static void forget_relation(struct store_memory *memory, struct memory_relation **at)
{
    struct memory_relation *relation = *at;
    *at = relation->next;
    pool_put(&memory->relations, relation);
}

void store_memory_forget_relations(struct store_memory *memory, struct memory_session *session)
{
    if (session->relations)
        unlink_obliged(memory, session);
    while (session->relations)
        forget_relation(memory, &session->relations);
}

static struct memory_relation *add_relation(struct store_memory *memory,
                                            struct memory_session *session, uint8_t slot)
{
    struct memory_relation *relation = pool_get(&memory->relations);
    if (!relation)
        return NULL;
    if (!session->relations)
        link_obliged(memory, session);
    relation->slot = slot;
    relation->next = session->relations;
    session->relations = relation;
    return relation;
}

void store_memory_save_relation(struct store_memory *memory, const struct store_question *question,
                                struct store_answer *answer)
{
    struct memory_session *session = store_memory_find_owned(memory, question, answer);
    if (!session)
        return;
    struct memory_relation **at = find_relation(session, question->slot);
    if (question->first.length > 0) {
        struct memory_relation *relation =
            *at ? *at : add_relation(memory, session, question->slot);
        if (!relation) {
            answer->outcome = STORE_UNAVAILABLE;
            return;
        }
        relation->length = (uint16_t)question->first.length;
        memcpy(relation->bytes, question->first.bytes, question->first.length);
    } else if (*at) {
        forget_relation(memory, at);
        if (!session->relations)
            unlink_obliged(memory, session);
    }
    store_memory_renew(memory, session);
    store_memory_drop_event(memory, question->second);
}

void store_memory_keep_relations(struct store_memory *memory, const struct memory_session *session,
                                 struct store_answer *answer)
{
    struct store_relation *kept =
        store_batch_room(&memory->batch, RELATIONS_PER_SESSION_MAX * sizeof *kept);
    for (const struct memory_relation *relation = session->relations; relation;
         relation = relation->next)
        kept[answer->relation_count++] = (struct store_relation){
            .slot = relation->slot,
            .value = store_batch_keep(&memory->batch,
                                      (struct octets){relation->bytes, relation->length})};
    answer->relations = kept;
}

void store_memory_list_obliged(struct store_memory *memory, const struct store_question *question,
                               struct store_answer *answer)
{
    struct writer list = store_batch_list(&memory->batch);
    const struct memory_session *session = memory->pages[question->page].first;
    while (session && session->obliged_since < question->from)
        session = session->obliged_after;
    for (; session && answer->count < STORE_OBLIGED_MAX; session = session->obliged_after) {
        writer_u8(&list, session->cid.length);
        writer_bytes(&list, session->cid.bytes, session->cid.length);
        answer->count++;
    }
    answer->first = session ? session->obliged_since : 0;
    answer->value = store_batch_end_list(&memory->batch, &list);
}
