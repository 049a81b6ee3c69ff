#include "lb/recency.h"

void recency_add(struct recency *recency, struct recency_link *link)
{
    link->newer = NULL;
    link->older = recency->newest;
    if (recency->newest)
        recency->newest->newer = link;
    else
        recency->oldest = link;
    recency->newest = link;
}

void recency_remove(struct recency *recency, struct recency_link *link)
{
    if (link->newer)
        link->newer->older = link->older;
    else
        recency->newest = link->older;
    if (link->older)
        link->older->newer = link->newer;
    else
        recency->oldest = link->newer;
    link->newer = NULL;
    link->older = NULL;
}

void recency_touch(struct recency *recency, struct recency_link *link)
{
    if (recency->newest == link)
        return;
    recency_remove(recency, link);
    recency_add(recency, link);
}
