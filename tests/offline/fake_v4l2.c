/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A webcam and a v4l2loopback device for tests, where the kernel has none: loaded with LD_PRELOAD, it answers open,
 * ioctl, write and poll on the paths $FAKE_CAMERA and $FAKE_LOOPBACK as linux/videodev2.h says. What FFmpeg, pyvirtualcam
 * and Python call is what they call on a real device.
 *
 * In the folder $FAKE_STATE: camera.yuyv (640x480) and camera.jpg (1280x720) are the camera's pictures; while `gone` or
 * `busy` exists, so it is; `readers` (a digit) says how many read the loopback device; `sent` gets what is written
 * to it; `format` the format that was set there; `on` exists while the camera is on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (2 << 20)
#define BUFFERS 4
#define FILES 1024
#define CLIENT_USAGE (V4L2_EVENT_PRIVATE_START + 0x08E00000 + 1)

enum kind { OTHER, CAMERA, LOOPBACK };
static enum kind kinds[FILES];
static int told_readers[FILES]; /* -2: not subscribed, -1: nothing told yet */
static struct v4l2_format format = {.fmt.pix = {.width = 640, .height = 480, .pixelformat = V4L2_PIX_FMT_YUYV}};
static int queue[BUFFERS], queued, sequence;
static long long due_ns;

static const struct { unsigned pixels, width, height, rates[2]; } modes[] = {
	{V4L2_PIX_FMT_YUYV, 640, 480, {30, 15}},
	{V4L2_PIX_FMT_YUYV, 1280, 720, {10, 0}},
	{V4L2_PIX_FMT_MJPEG, 1280, 720, {30, 0}},
};

static char *state(const char *name)
{
	static __thread char path[4096];
	snprintf(path, sizeof path, "%s/%s", getenv("FAKE_STATE"), name);
	return path;
}

static int is(const char *name) { return access(state(name), F_OK) == 0; }

static enum kind kind_of(int fd) { return fd >= 0 && fd < FILES ? kinds[fd] : OTHER; }

static int fail(int number) { errno = number; return -1; }

static int real_open(const char *path, int flags, mode_t mode)
{
	static int (*next)(const char *, int, ...);
	if (!next)
		next = dlsym(RTLD_NEXT, "open");
	return next(path, flags, mode);
}

static int fake_open(const char *path, int flags, mode_t mode)
{
	const char *camera = getenv("FAKE_CAMERA"), *loopback = getenv("FAKE_LOOPBACK");
	enum kind kind = camera && !strcmp(path, camera) ? CAMERA : loopback && !strcmp(path, loopback) ? LOOPBACK : OTHER;
	if (kind == OTHER)
		return real_open(path, flags, mode);
	if (kind == CAMERA && is("gone"))
		return fail(ENOENT);
	int fd = memfd_create("fake", 0);
	if (fd < 0 || fd >= FILES || ftruncate(fd, BUFFERS * BUFFER_BYTES))
		return fail(EMFILE);
	kinds[fd] = kind;
	told_readers[fd] = -2;
	return fd;
}

int open(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return fake_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return fake_open(path, flags, mode);
}

int close(int fd)
{
	static int (*next)(int);
	if (!next)
		next = dlsym(RTLD_NEXT, "close");
	if (kind_of(fd) == CAMERA)
		unlink(state("on"));
	if (fd >= 0 && fd < FILES)
		kinds[fd] = OTHER;
	return next(fd);
}

static int readers(void)
{
	char digit = '0';
	int fd = real_open(state("readers"), O_RDONLY, 0);
	if (fd >= 0 && read(fd, &digit, 1) < 0)
		digit = '0';
	if (fd >= 0)
		close(fd);
	return digit - '0';
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static int (*next)(struct pollfd *, nfds_t, int);
	if (!next)
		next = dlsym(RTLD_NEXT, "poll");
	if (count != 1 || kind_of(fds->fd) != LOOPBACK)
		return next(fds, count, timeout);
	fds->revents = told_readers[fds->fd] != -2 && told_readers[fds->fd] != readers() ? POLLPRI : 0;
	return fds->revents != 0;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
	static ssize_t (*next)(int, const void *, size_t);
	if (!next)
		next = dlsym(RTLD_NEXT, "write");
	if (kind_of(fd) != LOOPBACK)
		return next(fd, bytes, count);
	int file = real_open(state("sent"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	ssize_t done = next(file, bytes, count);
	close(file);
	return done;
}

static int next_frame(struct v4l2_buffer *buffer, int fd)
{
	struct timespec now;
	if (is("gone"))
		return fail(ENODEV);
	clock_gettime(CLOCK_MONOTONIC, &now);
	long long now_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
	due_ns = due_ns > now_ns ? due_ns : now_ns;
	struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	due_ns += 1000000000 / 30;
	if (!queued)
		return fail(EAGAIN);
	char *bytes = malloc(BUFFER_BYTES);
	int file = real_open(state(format.fmt.pix.pixelformat == V4L2_PIX_FMT_MJPEG ? "camera.jpg" : "camera.yuyv"), O_RDONLY, 0);
	ssize_t used = read(file, bytes, BUFFER_BYTES);
	close(file);
	memset(buffer, 0, sizeof *buffer);
	buffer->index = queue[0];
	memmove(queue, queue + 1, --queued * sizeof *queue);
	if (pwrite(fd, bytes, used, buffer->index * BUFFER_BYTES) != used)
		used = 0;
	free(bytes);
	buffer->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	buffer->memory = V4L2_MEMORY_MMAP;
	buffer->bytesused = used;
	buffer->sequence = sequence++;
	buffer->timestamp.tv_sec = due.tv_sec;
	buffer->timestamp.tv_usec = due.tv_nsec / 1000;
	return 0;
}

static int mode_with(unsigned pixels, unsigned width, unsigned height, unsigned skip)
{
	for (int i = 0; i < (int)(sizeof modes / sizeof *modes); i++)
		if (modes[i].pixels == pixels && (!width || (modes[i].width == width && modes[i].height == height)) && !skip--)
			return i;
	return -1;
}

static int camera(int fd, unsigned long request, void *what)
{
	static const unsigned pixels[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_MJPEG};
	struct v4l2_fmtdesc *pixel = what;
	struct v4l2_frmsizeenum *size = what;
	struct v4l2_frmivalenum *interval = what;
	struct v4l2_buffer *buffer = what;
	struct v4l2_format *wanted = what;
	int mode;
	if (is("gone"))
		return fail(ENODEV);
	switch (request) {
	case VIDIOC_QUERYCAP: {
		struct v4l2_capability *can = what;
		memset(can, 0, sizeof *can);
		strcpy((char *)can->driver, "uvcvideo");
		strcpy((char *)can->card, "Fake Webcam");
		can->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_DEVICE_CAPS;
		can->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
		return 0;
	}
	case VIDIOC_ENUM_FMT:
		if (pixel->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || pixel->index > 1)
			return fail(EINVAL);
		pixel->pixelformat = pixels[pixel->index];
		return 0;
	case VIDIOC_ENUM_FRAMESIZES:
		if ((mode = mode_with(size->pixel_format, 0, 0, size->index)) < 0)
			return fail(EINVAL);
		size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
		size->discrete.width = modes[mode].width;
		size->discrete.height = modes[mode].height;
		return 0;
	case VIDIOC_ENUM_FRAMEINTERVALS:
		mode = mode_with(interval->pixel_format, interval->width, interval->height, 0);
		if (mode < 0 || interval->index > 1 || !modes[mode].rates[interval->index])
			return fail(EINVAL);
		interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
		interval->discrete.numerator = 1;
		interval->discrete.denominator = modes[mode].rates[interval->index];
		return 0;
	case VIDIOC_G_INPUT:
		*(int *)what = 0;
		return 0;
	case VIDIOC_ENUMINPUT: {
		struct v4l2_input *input = what;
		memset(input, 0, sizeof *input);
		return 0;
	}
	case VIDIOC_S_FMT:
		if (is("busy"))
			return fail(EBUSY);
		mode = mode_with(wanted->fmt.pix.pixelformat, wanted->fmt.pix.width, wanted->fmt.pix.height, 0);
		if (mode >= 0)
			format = *wanted;
		__attribute__((fallthrough));
	case VIDIOC_G_FMT:
		*wanted = format;
		wanted->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
		wanted->fmt.pix.field = V4L2_FIELD_NONE;
		wanted->fmt.pix.bytesperline = 2 * format.fmt.pix.width;
		wanted->fmt.pix.sizeimage =
			format.fmt.pix.pixelformat == V4L2_PIX_FMT_MJPEG ? BUFFER_BYTES : 2 * format.fmt.pix.width * format.fmt.pix.height;
		return 0;
	case VIDIOC_G_PARM:
	case VIDIOC_S_PARM: {
		struct v4l2_streamparm *parm = what;
		parm->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
		parm->parm.capture.timeperframe.numerator = 1;
		parm->parm.capture.timeperframe.denominator = 30;
		return 0;
	}
	case VIDIOC_REQBUFS:
		if (((struct v4l2_requestbuffers *)what)->count > BUFFERS)
			((struct v4l2_requestbuffers *)what)->count = BUFFERS;
		queued = 0;
		return 0;
	case VIDIOC_QUERYBUF:
		buffer->length = BUFFER_BYTES;
		buffer->m.offset = buffer->index * BUFFER_BYTES;
		return 0;
	case VIDIOC_QBUF:
		queue[queued++] = buffer->index;
		return 0;
	case VIDIOC_STREAMON:
		close(real_open(state("on"), O_CREAT | O_WRONLY, 0600));
		return 0;
	case VIDIOC_STREAMOFF:
		unlink(state("on"));
		return 0;
	case VIDIOC_DQBUF:
		return next_frame(buffer, fd);
	}
	return fail(ENOTTY);
}

static int loopback(int fd, unsigned long request, void *what)
{
	switch (request) {
	case VIDIOC_QUERYCAP: {
		struct v4l2_capability *can = what;
		memset(can, 0, sizeof *can);
		strcpy((char *)can->driver, "v4l2 loopback");
		strcpy((char *)can->card, "Background Filter");
		can->capabilities = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE | V4L2_CAP_DEVICE_CAPS;
		can->device_caps = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE;
		return 0;
	}
	case VIDIOC_S_FMT: {
		struct v4l2_pix_format *pix = &((struct v4l2_format *)what)->fmt.pix;
		char line[64];
		int file = real_open(state("format"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
		int bytes = snprintf(line, sizeof line, "%.4s %ux%u", (char *)&pix->pixelformat, pix->width, pix->height);
		bytes = write(file, line, bytes) == bytes ? 0 : EIO;
		close(file);
		return bytes ? fail(bytes) : 0;
	}
	case VIDIOC_SUBSCRIBE_EVENT:
		if (!is("readers") || ((struct v4l2_event_subscription *)what)->type != CLIENT_USAGE)
			return fail(EINVAL);
		told_readers[fd] = -1;
		return 0;
	case VIDIOC_DQEVENT: {
		struct v4l2_event *event = what;
		memset(event, 0, sizeof *event);
		event->type = CLIENT_USAGE;
		unsigned count = told_readers[fd] = readers();
		memcpy(&event->u, &count, sizeof count);
		return 0;
	}
	}
	return fail(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int, unsigned long, ...);
	va_list rest;
	va_start(rest, request);
	void *what = va_arg(rest, void *);
	va_end(rest);
	request &= 0xFFFFFFFF; /* Python and libraries differ in the sign */
	switch (kind_of(fd)) {
	case CAMERA:
		return camera(fd, request, what);
	case LOOPBACK:
		return loopback(fd, request, what);
	default:
		if (!next)
			next = dlsym(RTLD_NEXT, "ioctl");
		return next(fd, request, what);
	}
}
