"""A frame on its way, and the system call that sends some of them."""

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t send(int fd, const void *buffer, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef enum:
    MAX_IOV = 1024  # buffers in one sendmsg; Linux takes no more (IOV_MAX)
    KEPT_ROOM = 16  # parcels for which an idle outbox keeps room

cdef iovec _vectors[MAX_IOV]  # filled and used without a call to Python in between

ctypedef PyObject *Pointer

@cython.final
@cython.no_gc
@cython.freelist(512)
cdef class Parcel:
    """A frame on its way (:class:`feedmux.model.ports.Parcel`)."""

    cdef readonly bytes frame
    cdef readonly str key
    cdef readonly TopicRow row
    cdef readonly long long epoch
    cdef readonly long long seq
    cdef readonly long long last


cdef Parcel new_parcel(bytes frame, str key, TopicRow row, long long epoch, long long seq, long long last):
    cdef Parcel parcel = Parcel.__new__(Parcel)
    parcel.frame = frame
    parcel.key = key
    parcel.row = row
    parcel.epoch = epoch
    parcel.seq = seq
    parcel.last = last
    return parcel


cdef inline Py_ssize_t size_of(Pointer parcel) noexcept:
    return PyBytes_GET_SIZE((<Parcel>parcel).frame)


cdef inline void release(Pointer *parcels, Py_ssize_t count) noexcept:
    cdef Py_ssize_t index
    for index in range(count):
        Py_DECREF(<object>parcels[index])


cdef ssize_t send_parcels(int descriptor, Pointer *parcels, Py_ssize_t count) noexcept:
    """One system call for up to ``MAX_IOV`` parcels; below 0: see errno."""
    cdef Py_ssize_t index
    cdef bytes frame
    cdef msghdr message
    if count == 1:
        frame = (<Parcel>parcels[0]).frame
        return send(descriptor, PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), MSG_NOSIGNAL | MSG_DONTWAIT)
    for index in range(count):
        _vectors[index].iov_base = PyBytes_AS_STRING((<Parcel>parcels[index]).frame)
        _vectors[index].iov_len = size_of(parcels[index])
    memset(&message, 0, sizeof(message))
    message.msg_iov = _vectors
    message.msg_iovlen = count
    return sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
