/* The messages of the venue, framed once, and where in each the values of one message go. */
#ifndef SWARM_TEMPLATE_H
#define SWARM_TEMPLATE_H

#include "server.h"

static int wanted_bytes, pad; /* how long a message shall be, or how much is added to it */

/* A framed message with the places that change. -1: it has no such place. */
struct template {
    char *frame;
    size_t length;
    int ns, ms, ms_again, order, price;
};

static int place_of(const char *text, const char *before)
{
    const char *at = strstr(text, before);
    return at ? (int)(at - text + (long)strlen(before)) : -1;
}

static size_t trade_text(char *out, size_t room, const char *symbol)
{
    char filler[1024];
    int n = wanted_bytes ? padding_for(symbol, wanted_bytes) : pad;
    memset(filler, 'x', sizeof filler);
    filler[0] = '-';
    return (size_t)snprintf(out, room,
                            "{\"topic\":\"publicTrade.%s\",\"type\":\"snapshot\",\"ts\":%013d,\"data\":[{\"T\":%013d,"
                            "\"s\":\"%s\",\"S\":\"Buy\",\"v\":\"0.015\",\"p\":\"80000.00\",\"L\":\"PlusTick\","
                            "\"i\":\"%017d%.*s\",\"BT\":false,\"RPI\":false,\"seq\":1000000000}]}",
                            symbol, 0, 0, symbol, 0, n, filler);
}

/* The turnover stands for the intended time: the gateway hands it on as it is. */
static size_t delta_text(char *out, size_t room, const char *symbol)
{
    return (size_t)snprintf(out, room,
                            "{\"topic\":\"tickers.%s\",\"type\":\"delta\",\"data\":{\"symbol\":\"%s\","
                            "\"tickDirection\":\"PlusTick\",\"lastPrice\":\"80682.00\",\"markPrice\":\"80680.10\","
                            "\"turnover24h\":\"%017d\"},\"cs\":1000000000,\"ts\":%013d}",
                            symbol, symbol, 0, 0);
}

static struct template make_template(const char *topic)
{
    char text[4096], frame[4200];
    const char *symbol = strchr(topic, '.') + 1;
    bool trade = topic[0] == 'p';
    size_t length = trade ? trade_text(text, sizeof text, symbol) : delta_text(text, sizeof text, symbol);
    struct template t = {.length = write_frame(frame, WS_TEXT, text, length, false)};
    int head = (int)(t.length - length);
    t.frame = malloc(t.length);
    memcpy(t.frame, frame, t.length);
    t.ns = head + place_of(text, trade ? "\"i\":\"" : "\"turnover24h\":\"");
    t.ms = head + place_of(text, "\"ts\":");
    t.ms_again = trade ? head + place_of(text, "\"T\":") : -1;
    t.order = head + place_of(text, trade ? "\"seq\":" : "\"cs\":");
    t.price = head + place_of(text, trade ? "\"p\":\"8" : "\"lastPrice\":\"8");
    return t;
}

#endif
