# What `find_package(feedmux)` finds: the target feedmux::local_client, which has the headers.
# `feedmux share --cmake-dir` prints where this file is.
cmake_minimum_required(VERSION 3.16)

include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

get_filename_component(feedmux_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../include" ABSOLUTE)

if(NOT TARGET feedmux::local_client)
  add_library(feedmux::local_client INTERFACE IMPORTED)
  set_target_properties(feedmux::local_client PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${feedmux_INCLUDE_DIR}"
    INTERFACE_COMPILE_FEATURES cxx_std_17
    INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
