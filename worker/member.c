#include "worker/member.h"

#include "shared/log.h"

#define MODULE "member"

static bool is_same_boot(const struct boot_id *a, const struct boot_id *b)
{
    return boot_id_compare(a, b) == 0;
}

enum status member_init(struct worker_member *member, const struct member_options *options)
{
    const struct address *link = &options->entry.link;
    struct address unspecified_v6 = {.port = link->port};
    struct address unspecified_v4 = {.ip = {[10] = 0xff, [11] = 0xff}, .port = link->port};
    if (link->port == 0 || address_equal(link, &unspecified_v6) ||
        address_equal(link, &unspecified_v4))
        return STATUS_UNSUPPORTED;

    *member = (struct worker_member){
        .options = *options,
        .entry = options->entry,
        .stage = MEMBER_OUTSIDE,
        .next = MEMBER_ASKS_JOIN,
    };
    member->entry.state = STORE_JOINING;
    return STATUS_OK;
}

/* --- what comes next --- */

static void ask_at_once(struct worker_member *member, enum member_question question)
{
    member->next = question;
    member->due_ms = 0;
}

static void ask_next_round(struct worker_member *member, enum member_question question)
{
    member->next = question;
    member->due_ms = member->round_ms + MEMBER_BEAT_MS;
}

static void beat_next(struct worker_member *member)
{
    if (member->told_state == member->entry.state)
        ask_next_round(member, MEMBER_ASKS_BEAT);
    else
        ask_at_once(member, MEMBER_ASKS_BEAT);
}

static void lose(struct worker_member *member)
{
    member->stage = MEMBER_LOST;
    log_line(LOG_ERROR, MODULE, "another process holds this worker's id", "id=%u",
             member->entry.worker_id);
    member->options.lost(member->options.owner, member->entry.worker_id);
}

/* --- answers --- */

static void enter(struct worker_member *member, const struct store_answer *answer)
{
    bool is_first = !member->has_joined;

    if (answer->member_count > 0)
        member->entry.worker_id = answer->members[0].worker_id;
    member->stage = MEMBER_ENTERED;
    member->has_joined = true;
    member->is_held = false;
    beat_next(member);
    log_line(LOG_INFO, MODULE, is_first ? "joined" : "joined again", "id=%u",
             member->entry.worker_id);
    if (is_first)
        member->options.joined(member->options.owner, member->entry.worker_id);
}

static void say_held(struct worker_member *member)
{
    if (!member->is_held)
        log_line(LOG_WARN, MODULE, "waiting for a worker id that another process holds", "id=%u",
                 member->entry.worker_id);
    member->is_held = true;
}

static void take_join(struct worker_member *member, const struct store_answer *answer,
                      enum member_question question)
{
    switch (answer->outcome) {
    case STORE_OK:
        enter(member, answer);
        break;
    case STORE_EXISTS:
    case STORE_STALE:
        if (member->has_joined)
            lose(member);
        else if (question == MEMBER_ASKS_JOIN)
            ask_at_once(member, MEMBER_ASKS_LIST);
        else
            ask_next_round(member, MEMBER_ASKS_JOIN);
        break;
    case STORE_NOT_FOUND:
    case STORE_UNAVAILABLE:
        /* It may have been done; then the next one finds this boot's own entry. */
        ask_next_round(member, MEMBER_ASKS_JOIN);
        break;
    }
}

/* An entry that stands in our way though nobody lives behind it. */
static const struct store_member *find_predecessor(const struct worker_member *member,
                                                   const struct store_answer *answer)
{
    for (size_t i = 0; i < answer->member_count; i++) {
        const struct store_member *other = &answer->members[i];
        bool is_in_the_way =
            member->entry.worker_id == 0 || member->entry.worker_id == other->worker_id;
        if (is_in_the_way && address_equal(&other->link, &member->entry.link) &&
            !is_same_boot(&other->boot, &member->entry.boot))
            return other;
    }
    return NULL;
}

static void take_list(struct worker_member *member, const struct store_answer *answer)
{
    const struct store_member *predecessor =
        answer->outcome == STORE_OK ? find_predecessor(member, answer) : NULL;

    if (predecessor) {
        member->predecessor = *predecessor;
        ask_at_once(member, MEMBER_ASKS_EVICT);
        return;
    }
    if (answer->outcome == STORE_OK)
        say_held(member);
    ask_next_round(member, MEMBER_ASKS_JOIN);
}

static void take_beat(struct worker_member *member, const struct store_answer *answer)
{
    switch (answer->outcome) {
    case STORE_OK:
        beat_next(member);
        break;
    case STORE_NOT_FOUND:
        log_line(LOG_WARN, MODULE, "this worker's entry had run out", "id=%u",
                 member->entry.worker_id);
        member->stage = MEMBER_OUTSIDE;
        ask_at_once(member, MEMBER_ASKS_JOIN);
        break;
    case STORE_EXISTS:
    case STORE_STALE:
        lose(member);
        break;
    case STORE_UNAVAILABLE:
        ask_next_round(member, MEMBER_ASKS_BEAT);
        break;
    }
}

/* While leaving, all that matters of an earlier question is whether there is an entry to leave. */
static void take_while_leaving(struct worker_member *member, enum member_question question,
                               const struct store_answer *answer)
{
    if (question == MEMBER_ASKS_LEAVE && answer->outcome != STORE_UNAVAILABLE) {
        member->stage = MEMBER_GONE;
        return;
    }
    bool is_join = question == MEMBER_ASKS_JOIN || question == MEMBER_ASKS_JOIN_AGAIN;
    if (is_join && answer->outcome == STORE_OK && answer->member_count > 0)
        member->entry.worker_id = answer->members[0].worker_id;
    if (question == MEMBER_ASKS_LEAVE)
        ask_next_round(member, MEMBER_ASKS_LEAVE);
    else
        ask_at_once(member, MEMBER_ASKS_LEAVE);
}

static void take_answer(void *owner, const struct store_answer *answer)
{
    struct worker_member *member = owner;
    enum member_question question = member->asked;

    member->asked = MEMBER_ASKS_NOTHING;
    if (member->stage == MEMBER_LEAVING) {
        take_while_leaving(member, question, answer);
        return;
    }
    switch (question) {
    case MEMBER_ASKS_JOIN:
    case MEMBER_ASKS_JOIN_AGAIN:
        take_join(member, answer, question);
        break;
    case MEMBER_ASKS_LIST:
        take_list(member, answer);
        break;
    case MEMBER_ASKS_EVICT:
        ask_at_once(member, MEMBER_ASKS_JOIN_AGAIN);
        break;
    case MEMBER_ASKS_BEAT:
        take_beat(member, answer);
        break;
    case MEMBER_ASKS_LEAVE:
    case MEMBER_ASKS_NOTHING:
        break;
    }
}

/* --- questions --- */

static enum status ask(struct worker_member *member, enum member_question question)
{
    struct store *store = member->options.store;
    const struct store_waiter waiter = {.answer = take_answer, .owner = member};

    switch (question) {
    case MEMBER_ASKS_JOIN:
    case MEMBER_ASKS_JOIN_AGAIN:
        member->told_state = member->entry.state;
        return store_join(store, &member->entry, &waiter);
    case MEMBER_ASKS_LIST:
        return store_list_members(store, &waiter);
    case MEMBER_ASKS_EVICT:
        return store_leave(store, &member->predecessor, &waiter);
    case MEMBER_ASKS_BEAT:
        member->told_state = member->entry.state;
        return store_beat(store, &member->entry, &waiter);
    case MEMBER_ASKS_LEAVE:
        return store_leave(store, &member->entry, &waiter);
    case MEMBER_ASKS_NOTHING:
        break;
    }
    return STATUS_UNSUPPORTED;
}

/* What is asked because of a join's answer belongs to the round of that join. */
static bool begins_round(enum member_question question)
{
    switch (question) {
    case MEMBER_ASKS_JOIN:
    case MEMBER_ASKS_BEAT:
    case MEMBER_ASKS_LEAVE:
        return true;
    case MEMBER_ASKS_LIST:
    case MEMBER_ASKS_EVICT:
    case MEMBER_ASKS_JOIN_AGAIN:
    case MEMBER_ASKS_NOTHING:
        return false;
    }
    return false;
}

void member_run(struct worker_member *member, uint64_t now_ms)
{
    if (now_ms < member_next_ms(member))
        return;
    /* An id that was never given needs no leave, nor can one be named. */
    if (member->stage == MEMBER_LEAVING && member->entry.worker_id == 0) {
        member->stage = MEMBER_GONE;
        return;
    }
    enum member_question question = member->next;
    if (begins_round(question))
        member->round_ms = now_ms;
    if (ask(member, question) == STATUS_OK)
        member->asked = question;
    else
        ask_next_round(member, begins_round(question) ? question : MEMBER_ASKS_JOIN);
}

uint64_t member_next_ms(const struct worker_member *member)
{
    switch (member->stage) {
    case MEMBER_OUTSIDE:
    case MEMBER_ENTERED:
    case MEMBER_LEAVING:
        return member->asked == MEMBER_ASKS_NOTHING ? member->due_ms : UINT64_MAX;
    case MEMBER_GONE:
    case MEMBER_LOST:
        break;
    }
    return UINT64_MAX;
}

/* --- what the worker says --- */

static void set_state(struct worker_member *member, enum store_member_state state)
{
    if (member->entry.state >= state)
        return;
    member->entry.state = (uint8_t)state;
    if (member->stage == MEMBER_ENTERED && member->asked == MEMBER_ASKS_NOTHING)
        ask_at_once(member, MEMBER_ASKS_BEAT);
}

void member_serve(struct worker_member *member)
{
    set_state(member, STORE_SERVING);
}

void member_drain(struct worker_member *member)
{
    set_state(member, STORE_DRAINING);
}

void member_leave(struct worker_member *member)
{
    switch (member->stage) {
    case MEMBER_OUTSIDE:
    case MEMBER_ENTERED:
        member->stage = MEMBER_LEAVING;
        ask_at_once(member, MEMBER_ASKS_LEAVE);
        break;
    case MEMBER_LEAVING:
    case MEMBER_GONE:
    case MEMBER_LOST:
        break;
    }
}

/* --- what the worker asks --- */

bool member_is_serving(const struct worker_member *member)
{
    return !member_trouble(member);
}

bool member_is_gone(const struct worker_member *member)
{
    return member->stage == MEMBER_GONE || member->stage == MEMBER_LOST;
}

const char *member_trouble(const struct worker_member *member)
{
    switch (member->stage) {
    case MEMBER_OUTSIDE:
    case MEMBER_ENTERED:
        break;
    case MEMBER_LEAVING:
    case MEMBER_GONE:
        return "leaving the cluster";
    case MEMBER_LOST:
        return "another process holds this worker's id";
    }
    if (!member->has_joined)
        return member->is_held ? "waiting for a worker id that another process holds"
                               : "joining the cluster";
    switch ((enum store_member_state)member->entry.state) {
    case STORE_JOINING:
        return "not ready to serve";
    case STORE_SERVING:
        return NULL;
    case STORE_DRAINING:
        return "draining";
    }
    return NULL;
}
