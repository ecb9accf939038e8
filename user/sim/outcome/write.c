// SPDX-License-Identifier: GPL-2.0-only
/* Where the forms of a report go: files, Grafana, the step summary of a GitHub job. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sim/outcome/outcome.h"

#define SUMMARY "GITHUB_STEP_SUMMARY"

static void as_json(const json_t *doc, FILE *f)
{
	json_dumpf(doc, f, JSON_COMPACT | JSON_REAL_PRECISION(12));
	fputc('\n', f);
}

/* A device, a pipe, a link: what stands there is written into, not replaced. */
static bool in_place(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && !S_ISREG(st.st_mode);
}

/* A pipe that nobody reads would hold the run's end for ever: ENXIO. */
static FILE *open_in_place(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_NONBLOCK | O_CLOEXEC);
	FILE *f = NULL;

	if (fd >= 0 && !fcntl(fd, F_SETFL, 0))
		f = fdopen(fd, "w");
	if (fd >= 0 && !f)
		close(fd);
	return f;
}

static int close_written(FILE *f)
{
	int rc = ferror(f) ? -EIO : 0;

	if (fclose(f) && !rc)
		rc = -errno;
	return rc;
}

/* Beside it first, then in its place: nobody reads half a report. */
static int to_file(const json_t *doc, const char *path, void (*form)(const json_t *, FILE *),
		   struct sq_error *why)
{
	bool direct = in_place(path);
	char tmp[512];
	FILE *f;
	int rc;

	snprintf(tmp, sizeof(tmp), "%.480s.%d.tmp", path, (int)getpid());
	f = direct ? open_in_place(path) : fopen(tmp, "we");
	rc = f ? 0 : -errno;
	if (f) {
		form(doc, f);
		rc = close_written(f);
	}
	if (!rc && !direct && rename(tmp, path))
		rc = -errno;
	if (!rc)
		return 0;
	sq_error_set(why, rc, NULL, "output '%.200s': %s", path, strerror(-rc));
	if (!direct)
		unlink(tmp);
	return rc;
}

static int try_file(const char *path, struct sq_error *why)
{
	char tmp[512];
	struct stat st;
	int fd, rc = 0;

	if (!*path)
		return 0;
	if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
		rc = -EISDIR;
	} else if (in_place(path)) {
		rc = access(path, W_OK) ? -errno : 0;
	} else {
		snprintf(tmp, sizeof(tmp), "%.480s.%d.tmp", path, (int)getpid());
		fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		rc = fd < 0 ? -errno : 0;
		if (fd >= 0) {
			close(fd);
			unlink(tmp);
		}
	}
	return rc ? sq_error_set(why, rc, NULL, "output '%.200s': %s", path, strerror(-rc)) : 0;
}

/* A job's summary is added to, so trying it changes nothing. */
static int try_summary(struct sq_error *why)
{
	const char *path = getenv(SUMMARY);
	int fd;

	if (!path || !*path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0666);
	if (fd < 0)
		return sq_error_set(why, -errno, NULL, SUMMARY " '%.200s': %s", path,
				    strerror(errno));
	close(fd);
	return 0;
}

/* One file by two names, whether it is there yet or not. */
static bool same_file(const char *a, const char *b)
{
	struct stat x, y;
	char copy[512], one[PATH_MAX], two[PATH_MAX];

	if (!*a || !*b)
		return false;
	if (!stat(a, &x) && !stat(b, &y))
		return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
	snprintf(copy, sizeof(copy), "%s", a);
	if (!realpath(dirname(copy), one))
		return false;
	snprintf(copy, sizeof(copy), "%s", b);
	if (!realpath(dirname(copy), two) || strcmp(one, two))
		return false;
	a = strrchr(a, '/') ? strrchr(a, '/') + 1 : a;
	b = strrchr(b, '/') ? strrchr(b, '/') + 1 : b;
	return !strcmp(a, b);
}

int outcome_check(const struct outcome_files *f, struct sq_error *why)
{
	const char *const paths[] = {f->json, f->html, f->junit}, *token = f->grafana_token_file;
	int rc = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths) && !rc; i++) {
		for (size_t k = 0; k < sizeof(f->read) / sizeof(*f->read) && !rc; k++)
			if (f->read[k] && same_file(paths[i], f->read[k]))
				rc = sq_error_set(why, -EEXIST, NULL,
						  "output '%.200s': the experiment is read from "
						  "that file, which would be lost",
						  paths[i]);
		for (size_t k = 0; k < i && !rc; k++)
			if (same_file(paths[i], paths[k]))
				rc = sq_error_set(why, -EEXIST, NULL,
						  "output '%.200s': two forms of the report in "
						  "one file",
						  paths[i]);
		rc = rc ? rc : try_file(paths[i], why);
	}
	rc = rc ? rc : try_summary(why);
	if (!rc && *token && access(token, R_OK)) {
		rc = -errno;
		sq_error_set(why, rc, NULL, "grafana-token-file '%.200s': %s", token,
			     strerror(-rc));
	}
	return rc;
}

static size_t drop(char *data, size_t size, size_t n, void *ctx)
{
	(void)data, (void)ctx;
	return size * n;
}

static int post(const char *url, struct curl_slist *head, const char *body, struct sq_error *why)
{
	char error[CURL_ERROR_SIZE] = "";
	CURL *c = curl_easy_init();
	long status = 0;
	CURLcode rc;

	if (!c)
		return -ENOMEM;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 5000L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
	rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	if (!rc && status / 100 == 2)
		return 0;
	if (rc)
		return sq_error_set(why, -EIO, NULL, "grafana %.150s: %.150s", url, error);
	return sq_error_set(why, -EIO, NULL, "grafana %.150s: status %ld%s", url, status,
			    status == 401 ? ": give outputs: grafana-token-file" : "");
}

/* An annotation per fault's window, and one for the whole run. */
static int grafana(const json_t *doc, const struct outcome_files *to, struct sq_error *why)
{
	struct curl_slist *head = curl_slist_append(NULL, "Content-Type: application/json");
	double zero = outcome_number(doc, "started_ms");
	char url[512], token[300] = "", line[sizeof(token) + 32];
	const json_t *o;
	size_t i, n = json_array_size(json_object_get(doc, "faults"));
	FILE *f = *to->grafana_token_file ? fopen(to->grafana_token_file, "re") : NULL;
	int rc = 0;

	if (f) {
		if (fgets(token, sizeof(token), f))
			token[strcspn(token, "\r\n")] = 0;
		fclose(f);
	}
	if (*token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
		head = curl_slist_append(head, line);
	}
	snprintf(url, sizeof(url), "%.480s%s/api/annotations", to->grafana, "");
	for (i = 0; i <= n && !rc; i++) {
		bool whole = i == n;
		double from, end;
		char *body, text[600];
		json_t *a;

		o = whole ? doc : json_array_get(json_object_get(doc, "faults"), i);
		from = whole ? 0 : outcome_number(o, "from_s");
		end = outcome_number(o, whole ? "duration_s" : "to_s");
		if (!whole && end <= 0)
			continue;
		snprintf(text, sizeof(text), "%.60s: %.400s", outcome_text(o, "name"),
			 whole ? outcome_text(o, "verdict")
			       : outcome_text(o, *outcome_text(o, "rule") ? "rule" : "profile"));
		a = json_pack("{s:I,s:I,s:[s,s,s],s:s}", "time", (json_int_t)(zero + from * 1000),
			      "timeEnd", (json_int_t)(zero + end * 1000), "tags", "squall",
			      whole ? "experiment" : "fault", outcome_text(doc, "name"), "text",
			      text);
		body = json_dumps(a, JSON_COMPACT);
		json_decref(a);
		rc = body ? post(url, head, body, why) : -ENOMEM;
		free(body);
	}
	curl_slist_free_all(head);
	return rc;
}

static int to_summary(const json_t *doc, struct sq_error *why)
{
	const char *path = getenv(SUMMARY);
	FILE *f;
	int rc;

	if (!path || !*path)
		return 0;
	f = fopen(path, "ae");
	rc = f ? 0 : -errno;
	if (f) {
		outcome_summary(doc, f);
		rc = close_written(f);
	}
	return rc ? sq_error_set(why, rc, NULL, SUMMARY " '%.200s': %s", path, strerror(-rc)) : 0;
}

int outcome_write(const json_t *doc, const struct outcome_files *f, struct sq_error *why)
{
	const struct {
		const char *path;
		void (*form)(const json_t *, FILE *);
	} files[] = {{f->json, as_json}, {f->html, outcome_html}, {f->junit, outcome_junit}};
	struct sq_error more;
	int rc = 0, one;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (!*files[i].path)
			continue;
		one = to_file(doc, files[i].path, files[i].form, rc ? &more : why);
		rc = rc ? rc : one;
	}
	one = to_summary(doc, rc ? &more : why);
	rc = rc ? rc : one;
	if (*f->grafana) {
		one = grafana(doc, f, rc ? &more : why);
		rc = rc ? rc : one;
	}
	return rc;
}
