FROM busybox:1
RUN echo "app:x:1000:1000:app:/home/app:/bin/sh" >> /etc/passwd && mkdir -p /home/app && chown 1000:1000 /home/app
USER app
WORKDIR /home/app/work
RUN id -u > ../uid
USER 1234:5678
RUN id -u > /tmp/uid && id -g >> /tmp/uid
USER app
