// The include path of websocket_proxy, for programs that were written for it.
#ifndef FEEDMUX_WEBSOCKET_PROXY_CLIENT_H
#define FEEDMUX_WEBSOCKET_PROXY_CLIENT_H

// What programs that include only this header use of the standard library.
#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <thread>

#include "../feedmux/local_client.hpp"

#endif
