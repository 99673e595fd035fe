/* A stand-in for the worker's image: answers every request on port 8080 with 200 and its host name, in JSON. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, _exit); /* Process 1 has no default actions. */
  char host[64] = "", body[128], answer[512], request[65536];
  gethostname(host, sizeof host - 1);
  const int length = snprintf(body, sizeof body, "{\"worker\": \"%s\"}", host);
  const int size = snprintf(answer, sizeof answer,
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", length, body);
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 64) != 0) {
    perror("standin");
    return 1;
  }
  for (;;) {
    const int connection = accept(server, NULL, NULL);
    if (read(connection, request, sizeof request) > 0 && write(connection, answer, size) != size) {
      perror("standin");
    }
    close(connection);
  }
}
