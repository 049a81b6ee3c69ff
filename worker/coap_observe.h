/* Observe (RFC 7641) as part of the CoAP endpoint: registrations among requests, states of
 * resources for observers, and what peers make of notifications. worker/observer.h is the list
 * itself.
 *
 *   GET, Observe 0 ─> coap_register ─> COAP_REGISTER ─> store ─> coap_registered ─> handler ─>
 * reply coap_changed ─> the resource's GET handler, asked by nobody ─> its observers
 *
 * The reply to a registration over DTLS leaves once the store has the relation (DESIGN.md section
 * 7, invariant 2); over plain CoAP there is no session to store it with. */
#ifndef HOLDFAST_WORKER_COAP_OBSERVE_H
#define HOLDFAST_WORKER_COAP_OBSERVE_H

#include "worker/coap_endpoint.h"

/* The resource at this path, as a target spells it (worker/target.h), has another state. */
void coap_changed(struct coap *coap, struct octets path);
/* Any below this path may have. */
void coap_changed_below(struct coap *coap, struct octets path);
/* Who asks when nobody does: a state is rendered for all observers, whom no resource has to know.
 */
#define COAP_RENDERING_SESSION UINT64_MAX

/* Whether any resource has observers. */
bool coap_is_observed(const struct coap *coap);

/* --- between the endpoint's files --- */

MUST_USE enum status coap_observe_init(struct coap *coap);
void coap_observe_free(struct coap *coap);

/* What a request has to do with observing. */
enum coap_interest {
    COAP_INTEREST_NONE,
    COAP_INTEREST_REGISTER,
    COAP_INTEREST_DEREGISTER,
};
enum coap_interest coap_interest_of(const struct resource_call *call);

/* Puts the peer on the list of what the call is about; the reply has to go through
 * coap_observe_reply. False: no room; it is answered as any other. */
bool coap_register(const struct resource_call *call);
/* Over DTLS: what is to be saved, once the request has been deferred. */
void coap_register_commit(const struct resource_call *call, struct coap_commit *commit);
void coap_deregister(const struct resource_call *call);

/* Puts the Observe option into the reply to a registration; one that is no success ends it. */
void coap_observe_reply(struct coap *coap, const struct coap_peer *peer,
                        const struct message *request, struct resource_reply *reply);
/* What that reply is as a message of its own, with Observe; its key is the relation's slot, so that
 * it can be taken back. */
enum transmission_kind coap_observe_kind(struct coap *coap, const struct coap_peer *peer,
                                         const struct message *request, uint64_t *key);
/* That reply leaves, with this code: an address that is not proven may have got 4.01 instead. */
void coap_observe_replied(struct coap *coap, const struct coap_peer *peer,
                          const struct message *request, uint8_t code);
/* The answer to a handler that was asked for a state. */
void coap_rendered(struct coap *coap, const struct request *request, struct resource_reply *reply);

#endif
