/* What observer.c (the list), notification.c (telling who is on it) and round.c (a change on its
 * way to all of them) share; theirs alone. */
#ifndef HOLDFAST_WORKER_OBSERVER_LIST_H
#define HOLDFAST_WORKER_OBSERVER_LIST_H

#include "worker/observer.h"

struct observer_peer *observer_peer_find(const struct observers *observers,
                                         const struct coap_peer *peer);
/* As the options' functions are told of it. */
struct coap_peer observer_peer_who(const struct observer_peer *peer);
/* Off the list, and out of the store; the peer goes with its last entry, and so does the subject
 * unless it is rendering or going round. */
void observer_remove(struct observers *observers, struct observer *observer, enum observer_end why);
void observer_count_as(struct observers *observers, enum worker_metric metric);

/* Sends the peer what it is owed, if it may be sent anything now, and sets its timer. The peer is
 * not gone after this: entries leave the list by what peers answer, and by time. */
void notification_serve(struct observers *observers, struct observer_peer *peer);
/* It is owed the subject's state, unless it has been told of it: by its timer, before the round. */
void notification_owe(struct observers *observers, struct observer *observer);
/* Its timer: what it had to wait for, or a confirmation that is due. */
void notification_wake(struct observers *observers, struct observer_peer *peer);

/* Asks for the subject's state, which goes round if it has changed. */
void round_want(struct observers *observers, struct subject *subject);
/* Sets its timer, for whom it waited for an outcome that it will not be told. */
void notification_plan(struct observers *observers, struct observer_peer *peer);
/* Lets go of a subject that nobody needs. */
void round_release(struct observers *observers, struct subject *subject);

#endif
