// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/door: a door to a program on the host, which answers in no time.
 *
 * Each open of the device is a connection to the host's UNIX stream socket DOOR. A write or
 * read waits for the host while the whole lab stands still: nothing else in it runs, and
 * its virtual clock does not move, however long the host takes. Nor is it charged (lab.c):
 * what the host does is no work of the program's.
 *
 * A write takes at most a page, but all of it. A read returns what there is, one byte at
 * least, and 0 when the host has closed. A poll says always that both can be done.
 */

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/time-internal.h>
#include <linux/uaccess.h>
#include <os.h>

#define DOOR "/results/.door"	/* as the lab's kernel sees it: its process is confined */

static int door_fd(struct file *file)
{
	return (long)file->private_data;
}

static int door_open(struct inode *inode, struct file *file)
{
	int fd = os_connect_socket(DOOR);

	if (fd < 0)
		return fd;
	os_set_exec_close(fd);
	file->private_data = (void *)(long)fd;
	return stream_open(inode, file);
}

static int door_release(struct inode *inode, struct file *file)
{
	os_close_file(door_fd(file));
	return 0;
}

static ssize_t door_read(struct file *file, char __user *to, size_t bytes, loff_t *unused)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);
	int got;

	if (!page)
		return -ENOMEM;
	do {
		got = os_read_file(door_fd(file), page, min(bytes, PAGE_SIZE));
	} while (got == -EINTR);
	if (got > 0 && copy_to_user(to, page, got))
		got = -EFAULT;
	if (got > 0)
		lab_was_the_host();
	free_page((unsigned long)page);
	return got;
}

static ssize_t door_write(struct file *file, const char __user *from, size_t bytes,
			  loff_t *unused)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);
	int put, done = 0;

	if (!page)
		return -ENOMEM;
	bytes = min(bytes, PAGE_SIZE);
	if (copy_from_user(page, from, bytes))
		done = -EFAULT;
	while (done >= 0 && done < bytes) {
		put = os_write_file(door_fd(file), page + done, bytes - done);
		if (put >= 0)
			done += put;
		else if (put != -EINTR)
			done = put;
	}
	if (done > 0)
		lab_was_the_host();
	free_page((unsigned long)page);
	return done;
}

static const struct file_operations door_operations = {
	.owner = THIS_MODULE,
	.open = door_open,
	.release = door_release,
	.read = door_read,
	.write = door_write,
};

static struct miscdevice door_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "door",
	.fops = &door_operations,
};

static int __init door_init(void)
{
	return misc_register(&door_device);
}
late_initcall(door_init);
