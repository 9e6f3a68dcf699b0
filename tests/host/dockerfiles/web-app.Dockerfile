FROM busybox:1 AS built
WORKDIR /src
RUN printf '<h1>%s</h1>\n' "Hello from a template" > index.html

FROM busybox:1
ENV PORT=8080
COPY --from=built /src /srv/www
RUN echo "web:x:100:100:web:/srv:/bin/sh" >> /etc/passwd && chown -R 100:100 /srv/www
WORKDIR /srv/www
USER web
EXPOSE 8080
CMD ["httpd", "-f", "-p", "8080"]
