FROM busybox:1
ENV A=1 B="two words" C=three\ words
ENV OLD style with spaces
ENV PATH=/opt/bin:$PATH
ENV D=${A}${MISSING:-default}${B:+set}
RUN echo "$A|$B|$C|$OLD|$D" > /said
