/* A change on its way to all observers of a subject: a few of them each turn. */
#include "worker/observer_list.h"

#include <string.h>

/* Of a batch's observers, before the next subject has its turn. */
#define SUBJECT_BATCH_MAX (OBSERVE_BATCH_MAX / 4)

/* --- changes --- */

void round_want(struct observers *observers, struct subject *subject)
{
    if (subject->rendering) {
        subject->changed = true;
        return;
    }
    wheel_cancel(&observers->retries, &subject->retry);
    subject->rendering = true;
    observers->options.render(observers->options.owner, subject);
}

void round_release(struct observers *observers, struct subject *subject)
{
    if (subject->observers || subject->rendering || subject->going)
        return;
    wheel_cancel(&observers->retries, &subject->retry);
    subject_release(&observers->subjects, subject);
}

void subject_changed(struct observers *observers, struct octets path, struct coap_now now)
{
    observers->now = now;
    struct subject *next;
    for (struct subject *subject = subject_by_path(&observers->subjects, path); subject;
         subject = next) {
        next = subject->same_path;
        round_want(observers, subject);
    }
}

static bool is_below(const struct subject *subject, struct octets path)
{
    return subject->path_length > path.length && subject->target[path.length] == '/' &&
           memcmp(subject->target, path.bytes, path.length) == 0;
}

void subjects_changed(struct observers *observers, struct octets path, struct coap_now now)
{
    size_t at = 0;
    const struct subject *first;
    observers->now = now;
    /* Nothing leaves the table while its observers stay. */
    while ((first = table_next(&observers->subjects.by_path, &at))) {
        if (is_below(first, path))
            subject_changed(observers, subject_path(first), now);
    }
}

/* A change that comes while the last one goes round is told from there on, once round: so nobody is
 * always the last. */
static void go_round(struct observers *observers, struct subject *subject, bool for_all)
{
    if (subject->going && subject->for_all && !for_all)
        return; /* whoever has not been told of this state is going to be */
    subject->for_all = for_all;
    subject->untold_count = subject->observer_count;
    if (subject->going)
        return;
    subject->going = true;
    if (!observers->going) {
        subject->next_going = subject;
        observers->batch_ms = observers->now.ms;
    } else {
        subject->next_going = observers->going->next_going;
        observers->going->next_going = subject;
    }
    observers->going = subject;
}

void subject_rendered(struct observers *observers, struct subject *subject, uint8_t code,
                      uint32_t number, bool has_version, struct octets state, struct coap_now now)
{
    observers->now = now;
    /* Without a number nobody has been told anything: those who join are by their replies. */
    bool known = !subject->has_number || (has_version && number == subject->number);
    if (!subject_set_state(&observers->subjects, subject, code, state)) {
        subject_not_rendered(observers, subject, now);
        return;
    }
    subject->rendering = false;
    if (!known) {
        subject->generation++;
        subject->behind += subject->behind < UINT8_MAX;
    }
    if (MESSAGE_CODE_CLASS(code) == 2) {
        subject->number = number;
        subject->has_number = true;
    }
    go_round(observers, subject, !known);
    if (subject->changed) {
        subject->changed = false;
        round_want(observers, subject);
    }
}

void subject_not_rendered(struct observers *observers, struct subject *subject, struct coap_now now)
{
    observers->now = now;
    subject->rendering = false;
    subject->changed = false;
    if (subject->observers)
        wheel_set(&observers->retries, &subject->retry, now.ms + OBSERVE_RETRY_MS);
    else
        round_release(observers, subject);
}

/* --- time --- */

/* The next `count` of the subject at most; returns how many. */
static size_t tell_some(struct observers *observers, struct subject *subject, size_t count)
{
    size_t told = 0;
    while (told < count && subject->untold_count > 0 && subject->observers) {
        struct observer *observer = subject->next_told ? subject->next_told : subject->observers;
        subject->next_told = observer->next;
        subject->untold_count--;
        told++;
        if (subject->for_all)
            notification_owe(observers, observer);
        if (observer->owed)
            notification_serve(observers, observer->peer);
    }
    return told;
}

static void run_batch(struct observers *observers)
{
    size_t left = OBSERVE_BATCH_MAX;
    while (observers->going && left > 0) {
        struct subject *subject = observers->going->next_going;
        left -= tell_some(observers, subject, left < SUBJECT_BATCH_MAX ? left : SUBJECT_BATCH_MAX);
        if (subject->untold_count > 0 && subject->observers) {
            observers->going = subject;
            continue;
        }
        observers->going->next_going = subject->next_going;
        if (observers->going == subject)
            observers->going = subject->next_going == subject ? NULL : observers->going;
        subject->behind = subject->for_all ? 0 : subject->behind;
        subject->going = false;
        subject->for_all = false;
        subject->next_told = NULL;
        round_release(observers, subject);
    }
    observers->batch_ms = observers->now.ms + 1;
}

void observers_run(struct observers *observers, struct coap_now now)
{
    struct timer *timer;
    observers->now = now;
    while ((timer = wheel_expire(&observers->retries, now.ms)))
        round_want(observers, (struct subject *)timer);
    if (observers->going && now.ms >= observers->batch_ms)
        run_batch(observers);
    while ((timer = wheel_expire(&observers->wheel, now.ms)))
        notification_wake(observers, (struct observer_peer *)timer);
}

uint64_t observers_next_ms(const struct observers *observers)
{
    uint64_t peers_ms = wheel_next_ms(&observers->wheel);
    uint64_t next_ms = wheel_next_ms(&observers->retries);
    if (peers_ms < next_ms)
        next_ms = peers_ms;
    if (observers->going && observers->batch_ms < next_ms)
        next_ms = observers->batch_ms;
    return next_ms;
}
